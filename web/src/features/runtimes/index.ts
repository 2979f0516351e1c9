export { useRuntimes } from "./api/list-runtimes";
export { RuntimesPage } from "./components/runtimes-page";
