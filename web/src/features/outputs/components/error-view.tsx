import type { ErrorItem } from "../model/items";
import { AnsiText } from "./ansi-text";

/** The error in one line, its traceback below. */
export function ErrorView({ item }: { item: ErrorItem }) {
  const traceback = item.traceback.join("\n");
  return (
    <div className="error" role="alert">
      <div className="error__head">
        <strong>{item.name}</strong>
        {item.value && <>: {item.value}</>}
      </div>
      {traceback && (
        <details open className="error__details">
          <summary>Traceback</summary>
          <pre className="stream__text">
            {traceback.split("\n").map((line, i) => (
              <div key={i} className="stream__line">
                <AnsiText text={line} />
                {"\n"}
              </div>
            ))}
          </pre>
        </details>
      )}
    </div>
  );
}
