/** A run of the history in words. */
import type { Run } from "../../../gen/spinapis/audit/v1/audit_pb";
import { RunStatus } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import type { Tone } from "../../../shared/ui";

export function runStatus(run: Run): [Tone, string] {
  if (run.rejectReason) return ["bad", `Refused: ${run.rejectReason}`];
  switch (run.status) {
    case RunStatus.OK:
      return ["ok", "Succeeded"];
    case RunStatus.ERROR:
      return ["bad", "Failed"];
    case RunStatus.INTERRUPTED:
      return ["warn", "Interrupted"];
    case RunStatus.LIMIT:
      return ["bad", "Stopped at a limit"];
    case RunStatus.KERNEL_DIED:
      return ["bad", "The kernel died"];
    case RunStatus.LOST:
      return ["bad", "Lost: the runtime went down"];
    case RunStatus.ABORTED:
      return ["warn", "Not run: an earlier cell failed"];
    case RunStatus.UNSPECIFIED:
      return Number(run.startedAtMs) > 0
        ? ["busy", "Running, or its end is not in the log yet"]
        : ["plain", "Compiled, not started"];
  }
}

/** What the log has of the run's receipts and outputs. */
export function receiptState(run: Run): [Tone, string] {
  if (run.rejectReason) return ["ok", "Refusal receipted"];
  if (run.status === RunStatus.UNSPECIFIED) return ["busy", "Receipts outstanding"];
  if (run.outputsVerified) return ["ok", `${run.frames} outputs match the receipt`];
  return ["warn", `${run.framesStored} of ${run.frames} outputs in the log`];
}

/** How often code got the value of an exposable secret; each reading is in the log as "secret.exposed". */
export function secretsRead(run: Pick<Run, "operations">): bigint {
  const readings = run.operations.filter((one) => one.operation === "secret.read");
  return readings.reduce((sum, one) => sum + one.count, 0n);
}
