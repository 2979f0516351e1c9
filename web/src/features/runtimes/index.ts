export { useRuntimeTrust } from "./api/get-runtime-trust";
export { useRuntimes } from "./api/list-runtimes";
export { RuntimesPage } from "./components/runtimes-page";
