/** Of the forms that a display offers, the richest one that this page shows. */
import type { MimeBundle } from "./items";

const RICHEST_FIRST = [
  /^application\/vnd\.spin\.(table|progress)\.v1\+json$/,
  /^application\/vnd\.vegalite\.v\d+(\.\d+)*\+json$/,
  /^application\/vnd\.vega\.v\d+(\.\d+)*\+json$/,
  /^image\/svg\+xml$/,
  /^image\/(png|jpeg|webp|gif)$/,
  /^text\/html$/,
  /^text\/markdown$/,
  /^text\/latex$/,
  /^application\/json$/,
  /^text\/plain$/,
];

export function chosenMime(data: MimeBundle): string | undefined {
  const offered = Object.keys(data);
  for (const form of RICHEST_FIRST) {
    const found = offered.find((mime) => form.test(mime));
    if (found) return found;
  }
  return undefined;
}
