export { useExportNotebook } from "./api/export-notebook";
export { NotebooksPage } from "./components/notebooks-page";
