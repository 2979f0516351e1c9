export { useConnectionName } from "./api/list-connection-names";
export { ConnectionsPage } from "./components/connections-page";
