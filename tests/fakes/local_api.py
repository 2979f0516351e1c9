"""An HTTP API on this machine that answers only those who show its token, and remembers what they showed."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LocalApi:
    def __init__(self, token: str) -> None:
        self.token = token
        self.shown: list[str] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shown = self.headers.get("authorization", "")
                api.shown.append(shown)
                right = shown == f"Bearer {api.token}"
                body = b'{"tickets": 3}' if right else b'{"error": "who are you?"}'
                self.send_response(200 if right else 401)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing: the tests' output is theirs."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
