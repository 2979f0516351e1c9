export { MarkdownView } from "./components/markdown-view";
export { OutputsView } from "./components/outputs-view";
export * from "./model";
