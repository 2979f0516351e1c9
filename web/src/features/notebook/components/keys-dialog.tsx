import { Dialog } from "../../../shared/ui";
import { SHORTCUTS } from "../model/keys";

export function KeysDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <p className="list__detail">
        These work on the selected cell while its text is not being edited: press Escape to leave the text. In the text,
        Tab completes and Shift+Tab shows help.
      </p>
      <dl className="keys">
        {SHORTCUTS.map((shortcut) => (
          <div key={shortcut.help} className="keys__row">
            <dt>
              {shortcut.keys.map((keys) => (
                <kbd key={keys}>{keys}</kbd>
              ))}
            </dt>
            <dd>{shortcut.help}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
