import { useState } from "react";
import { Button } from "../../../shared/ui";

const STEP = 100;

/** JSON as a tree that opens level by level. */
export function JsonView({ value }: { value: unknown }) {
  return (
    <div className="json">
      <Node name={undefined} value={value} depth={0} />
    </div>
  );
}

interface NodeProps {
  name: string | undefined;
  value: unknown;
  depth: number;
}

function Node({ name, value, depth }: NodeProps) {
  const [open, setOpen] = useState(depth < 2);
  const [shown, setShown] = useState(STEP);
  const label = name === undefined ? null : <span className="json__key">{name}: </span>;
  if (typeof value !== "object" || value === null) {
    return (
      <div className="json__leaf">
        {label}
        <Leaf value={value} />
      </div>
    );
  }
  const entries = Object.entries(value as Record<string, unknown>);
  const summary = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  return (
    <details
      open={open}
      onToggle={(event) => {
        event.stopPropagation();
        setOpen(event.currentTarget.open);
      }}
    >
      <summary>
        {label}
        <span className="json__size">{summary}</span>
      </summary>
      {open &&
        entries.slice(0, shown).map(([key, item]) => <Node key={key} name={key} value={item} depth={depth + 1} />)}
      {open && entries.length > shown && (
        <Button
          small
          look="quiet"
          onClick={() => {
            setShown(shown + STEP);
          }}
        >
          {entries.length - shown} more
        </Button>
      )}
    </details>
  );
}

function Leaf({ value }: { value: unknown }) {
  const kind = value === null ? "null" : typeof value;
  return <span className={`json__${kind}`}>{JSON.stringify(value)}</span>;
}
