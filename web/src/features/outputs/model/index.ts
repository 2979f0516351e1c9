/** The pure part: what outputs are, without what draws them. */
export { outputsFromNbformat, outputsToNbformat } from "./nbformat";
export {
  type CellOutputs,
  type MimeBundle,
  type OutputItem,
  NO_OUTPUTS,
  applyDisplayUpdate,
  applyMessage,
  displayUpdateOf,
  messageOf,
} from "./items";
export { plainText } from "./stream-text";
