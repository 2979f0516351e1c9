"""People with root keys in files, and an installation's folder: the commands that they type, in this process."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from spin_client.cli.main import execute
from spin_envelope.root import TrustedRoot
from spin_services.main import app as spin_service

PASSPHRASE = "five words and some more"


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


@dataclass
class Ceremony:
    """`data` is the installation's, `folder` what is carried from hand to hand."""

    data: Path
    folder: Path

    def keys(self, *arguments: str) -> Ran:
        """`spin-service keys …` on the platform's host."""
        done = CliRunner().invoke(spin_service, ["keys", *arguments], env={"SPIN_DATA": str(self.data)})
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Ran(done.exit_code, done.stdout, done.stderr)

    def spinctl(self, *arguments: str) -> Ran:
        """`spinctl root …` on a machine without a platform and without a network."""
        out, err, typed = io.StringIO(), io.StringIO(), sys.stdin
        sys.stdin = io.StringIO(PASSPHRASE)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                status = execute(["--url", "http://127.0.0.1:1", "root", *arguments])
        finally:
            sys.stdin = typed
        return Ran(status, out.getvalue(), err.getvalue())

    def person(self, name: str) -> str:
        """Makes a root key; gives its public half."""
        return self.spinctl("new-key", self.path(f"{name}.pem"), "--passphrase-file", "-").out.split()[-1]

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def now(self) -> str:
        """The file of the document in force, as whoever runs the platform has it."""
        return str(max((self.data / "keys/root-documents").glob("*.bin")))

    def root(self) -> TrustedRoot:
        return TrustedRoot.pinned(Path(self.now()).read_bytes(), None)

    def propose(self, name: str, *publics: str, threshold: int, current: str = "") -> Ran:
        roots = [word for public in publics for word in ("--root-key", public)]
        return self.spinctl("propose", self.path(name), "--current", current or self.now(), "--threshold", str(threshold), *roots)

    def sign(self, name: str, *people: str, current: str = "") -> list[Ran]:
        tail = ("--passphrase-file", "-", "--yes")
        return [self.spinctl("sign", self.path(name), "--current", current or self.now(), "--key", self.path(f"{one}.pem"), *tail) for one in people]

    def install(self, name: str) -> Ran:
        return self.keys("install", self.path(name))

    def handed_over(self, threshold: int, *people: str) -> None:
        """The installation's own root gives itself up to these people."""
        made = self.propose("handed.root", *(self.person(one) for one in people), threshold=threshold)
        assert made.status == 0, made.err
        self.sign("handed.root", *people[:threshold])
        assert self.keys("sign-as-root", "--yes", self.path("handed.root")).status == 0
        done = self.install("handed.root")
        assert done.status == 0, done.err
