import { Button, Menu, type MenuItem, Status } from "../../../shared/ui";
import { hasOptions } from "../../../shared/schema-form";
import type { CellState } from "../model/cell-state";
import type { CellProps } from "./cell-frame";

interface Props extends CellProps {
  state: CellState;
  options: boolean;
  onOptions: (shown: boolean) => void;
}

/** The line over a cell: its type, its link to the one above, what can be done with it. */
export function CellBar({ cell, at, count, type, cellTypes, store, editor, state, options, onOptions }: Props) {
  const { id } = cell;
  const types: MenuItem[] = cellTypes.map((candidate) => ({
    label: candidate.displayName || candidate.name,
    act: () => {
      store.edit({ kind: "type", cellId: id, cellType: candidate.name });
    },
  }));
  const actions: MenuItem[] = [
    {
      label: "Move up",
      keys: "Alt ↑",
      disabled: at === 0,
      act: () => {
        editor.move(id, -1);
      },
    },
    {
      label: "Move down",
      keys: "Alt ↓",
      disabled: at === count - 1,
      act: () => {
        editor.move(id, 1);
      },
    },
    {
      label: "Duplicate",
      act: () => {
        editor.duplicate(id);
      },
    },
    {
      label: "Insert above",
      keys: "A",
      act: () => {
        editor.insert(at);
      },
    },
    {
      label: "Insert below",
      keys: "B",
      act: () => {
        editor.insert(at + 1);
      },
    },
    {
      label: "Delete",
      keys: "D D",
      act: () => {
        editor.remove(id);
      },
    },
  ];
  return (
    <div className="cell__bar">
      <Menu small label={`Type of cell ${at + 1}`} align="start" items={types}>
        {type?.displayName ?? cell.cellType}
      </Menu>
      {at > 0 && (
        <Button
          small
          look="quiet"
          aria-pressed={cell.linked}
          className={cell.linked ? "cell__link cell__link--on" : "cell__link"}
          title="A linked cell runs when the one above succeeded; an error stops the chain"
          onClick={() => {
            store.edit({ kind: "linked", cellId: id, linked: !cell.linked });
          }}
        >
          {cell.linked ? "↳ Linked" : "↳ Link"}
        </Button>
      )}
      {hasOptions(type?.formSchemaJson ?? "") && (
        <Button
          small
          look="quiet"
          className={options ? "cell__link cell__link--on" : "cell__link"}
          aria-pressed={options}
          onClick={() => {
            onOptions(!options);
          }}
        >
          Options
        </Button>
      )}
      <span className="cell__space" />
      {state.text && <Status tone={state.tone}>{state.text}</Status>}
      <Menu small label={`Actions for cell ${at + 1}`} items={actions} />
    </div>
  );
}
