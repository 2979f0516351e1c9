import { Notice } from "../shared/ui";

/** Over plain http from another machine a browser has no keys to sign with. */
export function Insecure() {
  return (
    <main style={{ maxWidth: 640, margin: "64px auto", padding: 16 }}>
      <Notice tone="bad" title="SPIN needs a secure connection">
        <span>
          This page was opened over plain http from {window.location.host}. Open it over https, or on the machine itself
          as http://localhost.
        </span>
      </Notice>
    </main>
  );
}
