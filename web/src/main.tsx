import { createRoot } from "react-dom/client";
import { App } from "./app/app";
import { Insecure } from "./app/insecure";
import "./app/styles/tokens.css";
import "./app/styles/base.css";
import { connectApi } from "./shared/api/transport";
import { applyTheme } from "./shared/theme";

applyTheme();
const root = createRoot(document.getElementById("root") ?? document.body);

// Keys and locks exist in secure contexts alone: https, or http on this machine.
if (window.isSecureContext) {
  const api = connectApi(window.location.origin);
  await api.tokens.load();
  root.render(<App api={api} />);
} else {
  root.render(<Insecure />);
}
