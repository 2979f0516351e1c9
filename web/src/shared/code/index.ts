export { colours } from "./colours";
export { languageOf } from "./languages";
export { SourceText } from "./source-text";
