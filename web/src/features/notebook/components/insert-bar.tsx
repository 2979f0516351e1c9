import type { CellType } from "../../../gen/spinapis/compiler/v1/compiler_pb";
import { Button, Menu } from "../../../shared/ui";

interface Props {
  cellTypes: readonly CellType[];
  onInsert: (cellType: string) => void;
}

/** Adds a cell at the end: the usual two at once, the others from a menu. */
export function InsertBar({ cellTypes, onInsert }: Props) {
  return (
    <div className="row notebook__insert">
      <Button
        small
        onClick={() => {
          onInsert("python");
        }}
      >
        + Python
      </Button>
      <Button
        small
        onClick={() => {
          onInsert("markdown");
        }}
      >
        + Markdown
      </Button>
      <Menu
        small
        align="start"
        label="Add a cell of another type"
        items={cellTypes.map((type) => ({
          label: type.displayName || type.name,
          act: () => {
            onInsert(type.name);
          },
        }))}
      >
        + Other
      </Menu>
    </div>
  );
}
