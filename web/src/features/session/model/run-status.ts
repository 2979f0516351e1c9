/** How a run ended, in words. */
import { RunStatus } from "../../../gen/spinapis/envelope/v1/receipt_pb";

export function statusText(status: RunStatus): string {
  switch (status) {
    case RunStatus.OK:
      return "Succeeded";
    case RunStatus.ERROR:
      return "Failed";
    case RunStatus.INTERRUPTED:
      return "Interrupted";
    case RunStatus.LIMIT:
      return "Stopped at a limit";
    case RunStatus.KERNEL_DIED:
      return "The kernel died";
    case RunStatus.LOST:
      return "Lost: the runtime went down";
    case RunStatus.ABORTED:
      return "Not run: an earlier cell failed";
    case RunStatus.UNSPECIFIED:
      return "Ended";
  }
}
