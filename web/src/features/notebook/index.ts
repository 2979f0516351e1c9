export { NotebookPage } from "./components/notebook-page";
