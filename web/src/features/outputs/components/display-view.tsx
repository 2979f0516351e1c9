import { Suspense, lazy } from "react";
import { type DisplayItem, type MimeBundle, objectOf, textOf } from "../model/items";
import { chosenMime } from "../model/mime";
import { readTable } from "../model/table";
import { AnsiText } from "./ansi-text";
import { HtmlView } from "./html-view";
import { ImageView } from "./image-view";
import { JsonView } from "./json-view";
import { MarkdownView } from "./markdown-view";
import { ProgressView } from "./progress-view";
import { TableView } from "./table-view";

/** The chart library is large: it loads with the first chart. */
const ChartView = lazy(() => import("./chart-view"));

export function DisplayView({ item }: { item: DisplayItem }) {
  const mime = chosenMime(item.data);
  return (
    <div className="display" data-mime={mime}>
      {mime && viewOf(mime, item)}
    </div>
  );
}

function viewOf(mime: string, { data, metadata }: DisplayItem) {
  const value = data[mime];
  switch (mime) {
    case "application/vnd.spin.table.v1+json": {
      const table = readTable(value);
      return table ? <TableView table={table} /> : <PlainText data={data} />;
    }
    case "application/vnd.spin.progress.v1+json":
      return <ProgressView progress={objectOf(value)} />;
    case "image/png":
    case "image/jpeg":
    case "image/gif":
    case "image/webp":
    case "image/svg+xml":
      return (
        <ImageView mime={mime} value={textOf(value)} size={objectOf(metadata[mime])} alt={textOf(data["text/plain"])} />
      );
    case "text/html":
      return <HtmlView html={textOf(value)} />;
    case "text/markdown":
    case "text/latex":
      return <MarkdownView source={textOf(value)} />;
    case "application/json":
      return <JsonView value={value} />;
    case "text/plain":
      return <PlainText data={data} />;
    default:
      return mime.includes("vega") ? (
        <Suspense fallback={<span className="list__detail">Loading the chart…</span>}>
          <ChartView spec={objectOf(value)} lite={mime.includes("vegalite")} />
        </Suspense>
      ) : (
        <PlainText data={data} />
      );
  }
}

function PlainText({ data }: { data: MimeBundle }) {
  return (
    <pre className="stream__text">
      {textOf(data["text/plain"])
        .split("\n")
        .map((line, i) => (
          <div key={i} className="stream__line">
            <AnsiText text={line} />
            {"\n"}
          </div>
        ))}
    </pre>
  );
}
