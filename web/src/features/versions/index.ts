export { VersionsPage } from "./components/versions-page";
