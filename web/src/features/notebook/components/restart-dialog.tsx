import { Button, Dialog } from "../../../shared/ui";
import type { LiveSession } from "../../session";

interface Props {
  session: LiveSession | undefined;
  onClose: () => void;
}

/** Restarting cannot be taken back: everyone in the session loses its variables. */
export function RestartDialog({ session, onClose }: Props) {
  return (
    <Dialog title="Restart the kernel?" onClose={onClose}>
      <p>
        All variables are lost, for everyone in this session. What runs or waits is stopped. Outputs and the notebook
        stay.
      </p>
      <div className="dialog__actions">
        <Button onClick={onClose}>Keep it running</Button>
        <Button
          look="primary"
          autoFocus
          onClick={() => {
            session?.restart();
            onClose();
          }}
        >
          Restart
        </Button>
      </div>
    </Dialog>
  );
}
