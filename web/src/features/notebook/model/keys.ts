/** Jupyter's keys of command mode, as data: what is pressed, what happens, what the help says. */
import type { Editor } from "../use-editor";

export interface Actions extends Editor {
  interrupt: () => void;
  restart: () => void;
  save: () => void;
  setType: (cellType: string) => void;
  showHelp: () => void;
}

interface Shortcut {
  /** As KeyboardEvent.key, modifiers before it; two keys are pressed one after the other. */
  keys: readonly string[];
  help: string;
  act: (actions: Actions) => void;
}

export const SHORTCUTS: readonly Shortcut[] = [
  {
    keys: ["Enter"],
    help: "Edit the cell",
    act: (a) => {
      a.select(a.selection.cellId, "edit");
    },
  },
  {
    keys: ["Shift+Enter"],
    help: "Run the cell and go to the next",
    act: (a) => {
      a.runAndAdvance(a.selection.cellId);
    },
  },
  {
    keys: ["Ctrl+Enter", "Meta+Enter"],
    help: "Run the cell",
    act: (a) => {
      a.run(a.selection.cellId);
    },
  },
  {
    keys: ["Alt+Enter"],
    help: "Run the cell and insert one below",
    act: (a) => {
      a.run(a.selection.cellId);
      a.insertNear("below", "edit");
    },
  },
  {
    keys: ["ArrowUp", "k"],
    help: "Cell above",
    act: (a) => {
      a.step(-1, "command");
    },
  },
  {
    keys: ["ArrowDown", "j"],
    help: "Cell below",
    act: (a) => {
      a.step(1, "command");
    },
  },
  {
    keys: ["a"],
    help: "Insert a cell above",
    act: (a) => {
      a.insertNear("above", "command");
    },
  },
  {
    keys: ["b"],
    help: "Insert a cell below",
    act: (a) => {
      a.insertNear("below", "command");
    },
  },
  {
    keys: ["Alt+ArrowUp"],
    help: "Move the cell up",
    act: (a) => {
      a.move(a.selection.cellId, -1);
    },
  },
  {
    keys: ["Alt+ArrowDown"],
    help: "Move the cell down",
    act: (a) => {
      a.move(a.selection.cellId, 1);
    },
  },
  {
    keys: ["d d"],
    help: "Delete the cell",
    act: (a) => {
      a.remove(a.selection.cellId);
    },
  },
  {
    keys: ["z"],
    help: "Bring back the cell that was deleted last",
    act: (a) => {
      a.undoRemove();
    },
  },
  {
    keys: ["c"],
    help: "Copy the cell",
    act: (a) => {
      a.copy(false);
    },
  },
  {
    keys: ["x"],
    help: "Cut the cell",
    act: (a) => {
      a.copy(true);
    },
  },
  {
    keys: ["v"],
    help: "Paste the cell below",
    act: (a) => {
      a.paste();
    },
  },
  {
    keys: ["y"],
    help: "Make it a Python cell",
    act: (a) => {
      a.setType("python");
    },
  },
  {
    keys: ["m"],
    help: "Make it a Markdown cell",
    act: (a) => {
      a.setType("markdown");
    },
  },
  {
    keys: ["i i"],
    help: "Interrupt the kernel",
    act: (a) => {
      a.interrupt();
    },
  },
  {
    keys: ["0 0"],
    help: "Restart the kernel",
    act: (a) => {
      a.restart();
    },
  },
  {
    keys: ["s", "Ctrl+s", "Meta+s"],
    help: "Save now",
    act: (a) => {
      a.save();
    },
  },
  {
    keys: ["h", "?"],
    help: "Show these keys",
    act: (a) => {
      a.showHelp();
    },
  },
];

export interface Press {
  key: string;
  shiftKey: boolean;
  ctrlKey: boolean;
  altKey: boolean;
  metaKey: boolean;
}

/** The shortcut that a press completes, and what is left to wait for when it may be the first half of one. */
export function pressed(press: Press, before: string): { shortcut: Shortcut | undefined; waiting: string } {
  const name = nameOf(press);
  const find = (keys: string): Shortcut | undefined => SHORTCUTS.find((shortcut) => shortcut.keys.includes(keys));
  const both = before ? find(`${before} ${name}`) : undefined;
  if (both) return { shortcut: both, waiting: "" };
  const starts = SHORTCUTS.some((shortcut) => shortcut.keys.some((keys) => keys.startsWith(`${name} `)));
  return { shortcut: find(name), waiting: starts ? name : "" };
}

function nameOf({ key, shiftKey, ctrlKey, altKey, metaKey }: Press): string {
  const shift = shiftKey && key.length > 1;
  const modifiers = [ctrlKey && "Ctrl", altKey && "Alt", metaKey && "Meta", shift && "Shift"].filter(Boolean);
  return [...modifiers, key].join("+");
}
