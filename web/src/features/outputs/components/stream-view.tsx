import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef } from "react";
import type { StreamItem } from "../model/items";
import { type StreamText, lineAt, lineCount } from "../model/stream-text";
import { saveFile } from "../../../shared/files";
import { plainText } from "../model/stream-text";
import { Button } from "../../../shared/ui";
import { AnsiLine } from "./ansi-text";

const WHOLE = 200;
const LINE_PX = 19;

/** Short text stands as it is; long text in a window of its own that draws only the lines in sight and follows the end. */
export function StreamView({ item }: { item: StreamItem }) {
  const count = lineCount(item.text);
  return (
    <div className={`stream stream--${item.name}`} data-stream={item.name}>
      {count <= WHOLE ? <ShortText text={item.text} count={count} /> : <LongText text={item.text} count={count} />}
    </div>
  );
}

function ShortText({ text, count }: { text: StreamText; count: number }) {
  return (
    <pre className="stream__text">
      {Array.from({ length: count }, (_, i) => (
        <div key={i} className="stream__line">
          <AnsiLine line={lineAt(text, i)} />
          {"\n"}
        </div>
      ))}
    </pre>
  );
}

function LongText({ text, count }: { text: StreamText; count: number }) {
  const frame = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  // The virtualizer's functions read the scroll position: results must not be cached by the compiler.
  // eslint-disable-next-line react-hooks/incompatible-library
  const lines = useVirtualizer({
    count,
    getScrollElement: () => frame.current,
    estimateSize: () => LINE_PX,
    overscan: 20,
  });
  useEffect(() => {
    if (following.current) lines.scrollToIndex(count - 1, { align: "end" });
  }, [count, lines]);
  return (
    <>
      <div
        ref={frame}
        className="stream__window"
        tabIndex={0}
        role="log"
        aria-label={`Output of ${count} lines`}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          following.current = scrollHeight - scrollTop - clientHeight < 2 * LINE_PX;
        }}
      >
        <div style={{ height: lines.getTotalSize(), position: "relative", minWidth: "max-content" }}>
          {lines.getVirtualItems().map((item) => (
            <div
              key={item.index}
              className="stream__row"
              style={{ transform: `translateY(${item.start}px)`, height: LINE_PX }}
            >
              <AnsiLine line={lineAt(text, item.index)} />
            </div>
          ))}
        </div>
      </div>
      <div className="stream__foot">
        <span>{count.toLocaleString()} lines</span>
        <Button
          small
          look="quiet"
          onClick={() => {
            saveFile("output.txt", new Blob([plainText(text)], { type: "text/plain" }));
          }}
        >
          Download
        </Button>
      </div>
    </>
  );
}
