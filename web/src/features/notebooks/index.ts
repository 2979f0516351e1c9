export { useNotebooks } from "./api/list-notebooks";
export { useExportNotebook } from "./api/export-notebook";
export { NotebooksPage } from "./components/notebooks-page";
