import { memo } from "react";
import { Notice } from "../../../shared/ui";
import type { CellOutputs, OutputItem } from "../model/items";
import { DisplayView } from "./display-view";
import { ErrorView } from "./error-view";
import { StreamView } from "./stream-view";
import "./outputs.css";

/** What a cell printed, in its order. */
export const OutputsView = memo(function OutputsView({ outputs, label }: { outputs: CellOutputs; label: string }) {
  if (outputs.items.length === 0) return null;
  return (
    <div className="outputs" role="region" aria-label={label}>
      {outputs.items.map((item, i) => (
        // Items are only appended or replaced together: the place is the name.
        <ItemView key={i} item={item} />
      ))}
    </div>
  );
});

const ItemView = memo(function ItemView({ item }: { item: OutputItem }) {
  switch (item.kind) {
    case "stream":
      return <StreamView item={item} />;
    case "display":
      return <DisplayView item={item} />;
    case "error":
      return <ErrorView item={item} />;
    case "truncated":
      return (
        <Notice tone="warn" title="Output truncated">
          <span>{item.text || "The run printed more than the runtime lets through. What follows is cut off."}</span>
        </Notice>
      );
  }
});
