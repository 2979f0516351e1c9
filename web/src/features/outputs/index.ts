export { outputsFromNbformat, outputsToNbformat } from "./model/nbformat";
export {
  type CellOutputs,
  type MimeBundle,
  type OutputItem,
  NO_OUTPUTS,
  applyDisplayUpdate,
  applyMessage,
  displayUpdateOf,
  messageOf,
} from "./model/items";
export { MarkdownView } from "./components/markdown-view";
export { OutputsView } from "./components/outputs-view";
