"""spin_kernel.shell and spin_kernel.rest, and values on their way out of a notebook; without a kernel."""

import http.server
import ipaddress
import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import certifi
import numpy as np
import pandas as pd
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import spin_kernel
from spin_kernel import rest, shell
from spin_kernel.bars import bundle_of as bar_of
from spin_kernel.broker import UseResult
from spin_kernel.plain import plain
from spin_kernel.tables import cell, table_of

# Shell


def test_arguments_are_never_a_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run(["echo", "a b; rm -rf / $(id) *"]).stdout == "a b; rm -rf / $(id) *\n"
    with pytest.raises(TypeError):
        shell.run("echo a")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        shell.run([])
    assert capsys.readouterr().out.startswith("a b; rm")


def test_a_failure_that_is_not_checked() -> None:
    assert shell.run(["false"], check=False).exit_status == 1


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(spin_kernel.ShellFailed, match="no-such-program could not be started") as caught:
        shell.run(["no-such-program"])
    assert caught.value.exit_status == 127


def test_a_program_that_a_signal_ended() -> None:
    with pytest.raises(shell.ShellFailed, match="ended by signal 9") as caught:
        shell.run(["bash", "-c", "kill -9 $$"])
    assert caught.value.exit_status == -9


def test_the_timeout_ends_the_whole_process_group(gone: Callable[[str], bool]) -> None:
    started = time.monotonic()
    with pytest.raises(shell.ShellFailed, match=r"took longer than 0\.4 s") as caught:
        shell.run(["bash", "-c", "echo begun; sleep 62.5 & sleep 62.5; echo"], timeout=0.4)
    assert time.monotonic() - started < 30
    assert caught.value.stdout == "begun\n"
    assert gone("62.5")


def test_a_program_that_ignores_the_request_to_end(gone: Callable[[str], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "END_GRACE_S", 0.3)
    with pytest.raises(shell.ShellFailed):
        shell.run(["bash", "-c", "trap '' TERM; while true; do sleep 0.63; done"], timeout=0.3)
    assert gone("0.63")


def test_a_background_process_does_not_keep_the_cell(running: Callable[[str], bool]) -> None:
    started = time.monotonic()
    assert shell.run(["bash", "-c", "sleep 33.75 & echo done"]).stdout == "done\n"
    assert time.monotonic() - started < 30


def test_much_output_is_shown_and_the_first_part_kept(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(shell, "KEPT", 1000)
    result = shell.run(["bash", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"])
    assert (len(result.stdout), result.truncated) == (1000, True)
    assert len(capsys.readouterr().out) == 1_000_000


def test_characters_that_come_in_pieces_and_bytes_that_are_none() -> None:
    script = "printf '\\xc3'; sleep 0.1; printf '\\xa9\\xff'"
    assert shell.run(["bash", "-c", script]).stdout == "é�"


def test_the_working_directory(tmp_path: Path) -> None:
    assert shell.run(["pwd"], cwd=tmp_path).stdout.strip() == str(tmp_path)


def test_values_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INHERITED", "kept")
    monkeypatch.setenv("BOTH", "old")
    script = 'printf "%s|" "$INHERITED" "$BOTH" "$ODD"'
    assert shell.run(["bash", "-c", script], env={"BOTH": "new", "ODD": "a; rm -rf / $(id) '\"\n"}).stdout == "kept|new|a; rm -rf / $(id) '\"\n|"
    assert "ODD" not in os.environ


def test_a_failure_names_the_shell_whatever_is_in_its_environment() -> None:
    with pytest.raises(shell.ShellFailed, match=r"^sh ended with exit status 7$") as caught:
        shell.run(["sh", "-c", 'exit "$status"'], env={"status": "7"})
    assert caught.value.exit_status == 7


@pytest.mark.parametrize("env", [{"a=b": "c"}, {"a": "b\0c"}, {"a": "x" * 3_000_000}])
def test_an_environment_that_cannot_be(env: dict[str, str]) -> None:
    with pytest.raises(shell.ShellFailed, match="bash could not be started"):
        shell.run(["bash", "-c", "true"], env=env)


# REST


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("location", "/echo")
            self.end_headers()
            return
        length = int(self.headers.get("content-length") or 0)
        said = {"path": self.path, "method": self.command, "headers": dict(self.headers), "body": self.rfile.read(length).decode()}
        body = json.dumps(said).encode() if "text" not in self.path else "grün".encode()
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("content-type", "text/plain" if "text" in self.path else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        return


def serve(context: ssl.SSLContext | None = None) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def site() -> Iterator[str]:
    yield from serve()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of nobody that the system trusts, with its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = builder.add_extension(names, False).add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256())
    file = tmp_path / "certificate.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


@pytest.fixture
def secure_site(certificate: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    yield from serve(context)


def test_a_request(site: str) -> None:
    answer = rest.request("POST", f"{site}/echo", params={"q": ["a b", "c"]}, headers={"X-Count": 3}, json={"n": np.int64(1)})
    said = answer.json()
    assert (answer.status, answer.ok, said["method"], said["path"]) == (200, True, "POST", "/echo?q=a+b&q=c")
    assert (said["headers"]["X-Count"], json.loads(said["body"])) == ("3", {"n": 1})
    assert answer._repr_mimebundle_()["application/json"] == said


def test_headers_have_no_case(site: str) -> None:
    headers = rest.request("GET", f"{site}/echo").headers
    assert headers["Content-Type"] == headers["content-type"] == headers.get("CONTENT-TYPE") == "application/json"
    assert "X-None" not in headers
    assert "Content-Length" in headers


def test_what_a_connection_gave_is_the_same_kind_of_answer(site: str) -> None:
    own = rest.request("GET", f"{site}/missing/text")
    value = {"status": 404, "reason": own.reason, "url": own.url, "headers": dict(own.headers), "text": "grün"}
    assert rest.from_result(UseResult(value)) == own
    binary = rest.from_result(UseResult({"status": 200, "reason": "OK", "url": own.url, "headers": {}, "base64": "/wAB"}))
    assert (binary.content, binary.ok) == (b"\xff\x00\x01", True)
    assert set(binary._repr_mimebundle_()) == {"text/plain"}


def test_an_answer_with_an_error_status_is_an_answer(site: str) -> None:
    answer = rest.request("GET", f"{site}/missing/text")
    assert (answer.status, answer.ok, answer.text) == (404, False, "grün")
    assert set(answer._repr_mimebundle_()) == {"text/plain"}


def test_redirects_are_followed(site: str) -> None:
    assert rest.request("GET", f"{site}/away").url.endswith("/echo")


def test_a_body_is_sent_as_it_is(site: str) -> None:
    assert rest.request("POST", f"{site}/echo", body="é=1").json()["body"] == "é=1"


def test_no_answer() -> None:
    with pytest.raises(rest.RestFailed):
        rest.request("GET", "http://127.0.0.1:1/")


def test_an_answer_that_is_too_long(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MAX_RESPONSE", 10)
    with pytest.raises(rest.RestFailed, match="is over"):
        rest.request("GET", f"{site}/echo")


def test_tls_is_verified_by_the_runtimes_bundle(secure_site: str, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert rest.request("GET", f"{secure_site}/echo").status == 200
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    with pytest.raises(rest.RestFailed, match="certificate verify failed"):
        rest.request("GET", f"{secure_site}/echo")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert rest.request("GET", f"{secure_site}/echo").status == 200


# Values


def test_values_become_plain() -> None:
    value = {"a": np.float64(1.5), "b": np.array([1, 2]), "c": pd.Timestamp("2024-01-02"), "d": (Decimal("1.10"), date(2024, 1, 2)), "e": None}
    assert plain(value) == {"a": 1.5, "b": [1, 2], "c": "2024-01-02T00:00:00", "d": ["1.10", "2024-01-02"], "e": None}


@pytest.mark.parametrize("value", [float("nan"), np.float64("inf"), object(), {1: 2}, open])
def test_values_that_have_no_plain_form(value: object) -> None:
    with pytest.raises(TypeError):
        plain(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2**53, "9007199254740992"),
        (-(2**53) + 1, -(2**53) + 1),
        (float("nan"), None),
        (float("inf"), "inf"),
        (pd.NaT, None),
        (pd.NA, None),
        (np.int64(2**60), str(2**60)),
        (np.datetime64("2024-01-02"), "2024-01-02"),
        (True, True),
        (b"x", "b'x'"),
        ("x" * 20_000, "x" * 10_000 + "…"),
    ],
    ids=str,
)
def test_cells_of_tables(value: object, shown: object) -> None:
    assert cell(value) == shown


def test_a_table_keeps_the_index_and_is_bounded() -> None:
    table = table_of(pd.DataFrame({"v": range(30_000)}, index=pd.Index(range(5, 30_005), name="k")).astype("int64"))
    assert [column["name"] for column in table["columns"]] == ["k", "v"]
    assert (len(table["rows"]), table["rows"][0], table["total"], table["truncated"]) == (10_000, [5, 0], 30_000, True)
    wide = table_of(pd.DataFrame(np.zeros((1000, 1000))))
    assert len(wide["rows"]) == 200
    two = table_of(pd.DataFrame({"v": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None])))
    assert ([column["name"] for column in two["columns"]], two["rows"]) == (["x", "", "v"], [["a", 1, 1], ["b", 2, 2]])
    assert table_of(pd.DataFrame())["rows"] == []


def test_a_bar_without_an_end() -> None:
    bundle = bar_of(None, "<waiting>")
    assert bundle["application/vnd.spin.progress.v1+json"] == {"fraction": None, "text": "<waiting>"}
    assert "&lt;waiting&gt;" in bundle["text/html"]
