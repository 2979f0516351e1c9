export { HistoryPage } from "./components/history-page";
export { SessionHistoryPage } from "./components/session-history-page";
