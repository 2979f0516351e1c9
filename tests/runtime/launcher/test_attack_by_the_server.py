"""A server that was taken over against the launcher, which may do more than it: every request that it can form, on the launcher's own socket."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from spin_runtime.broker.socket import _name
from spin_runtime.launcher import sockets, wire
from spin_runtime.launcher.rules import EngineRules, Rules
from tests.fakes.launched import Launched

# Every user may run it, whoever owns this checkout.
SLEEPS = ["/bin/sleep", "600"]
# Users that nobody is here: the server's, and the broker's.
SERVER, BROKER, KERNELS = 47802, 47801, (1_900_000_000, 1_900_000_999)
ROOT = os.geteuid() == 0
as_root = pytest.mark.parametrize("apart", [True] if ROOT else [])
HANDLE = "0123456789abcdef"


@dataclass
class Taken:
    """The server's end of the launcher, in an attacker's hands."""

    launched: Launched
    var: Path
    stderr: int

    def says(self, data: bytes, descriptors: tuple[int, ...] = ()) -> wire.Packet | None:
        self.launched.channel.settimeout(60)
        socket.send_fds(self.launched.channel, [data], descriptors)
        try:
            return wire.receive(self.launched.channel)
        except ConnectionResetError:
            return None

    def asks(self, do: object, *arguments: object, descriptors: tuple[int, ...] = ()) -> dict[str, Any]:
        packet = self.says(json.dumps({"id": 1, "do": do, "with": arguments}).encode(), descriptors)
        assert packet is not None, "the launcher ended"
        packet.close()
        return packet.body

    def box(self) -> Path:
        box = Path(self.asks("box")["path"])
        (box / "connection.json").touch(mode=0o600)
        os.chown(box / "connection.json", self.server, -1)
        return box

    def start(self, work: str, box: str, **more: object) -> dict[str, Any]:
        wanted = {"argv": SLEEPS, "environment": {}, "work": work, "box": box, "egress": "open"} | more
        return self.asks("start", wanted, descriptors=(self.stderr,))

    def started(self) -> tuple[str, Path]:
        """A kernel of this server's, as it should be: its handle, its box."""
        self.asks("folder", "honest")
        box = self.box()
        answer = self.start("honest", box.name)
        assert "kernel" in answer, answer
        return answer["kernel"], box

    def broker_socket(self, name: str = "") -> Path:
        path = self.var / "run" / (name or _name(1))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
        os.chown(path, self.broker, -1)
        return path

    @property
    def server(self) -> int:
        return SERVER if ROOT else os.geteuid()

    @property
    def broker(self) -> int:
        return BROKER if ROOT else os.geteuid()


@pytest.fixture
def taken() -> Iterator[Taken]:
    with taken_over() as taken:
        yield taken


@contextmanager
def taken_over(kind: str = "process", readable: Sequence[str] = (), engine: EngineRules | None = None) -> Iterator[Taken]:
    home = Path(tempfile.mkdtemp(prefix="spin-a-"))
    home.chmod(0o711)
    var = home / "var"
    (var / "run").mkdir(parents=True)
    own = os.geteuid()
    if ROOT:
        os.chown(var / "run", BROKER, BROKER)
    users = (KERNELS, SERVER, SERVER, BROKER) if ROOT else (None, own, os.getegid(), own)
    launched = Launched(Rules(kind, "open", readable, str(var), 1 << 20, 100, 0, *users, engine))
    with (home / "stderr").open("wb") as stderr:
        taken = Taken(launched, var, stderr.fileno())
        assert "boxes" in taken.asks("describe")
        yield taken
    launched.ended()
    shutil.rmtree(home)


def owners(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Of everything below, with modes: what an attack must leave as it was."""
    found = [folder, *folder.rglob("*")]
    return {str(path): (path.lstat().st_uid, path.lstat().st_gid, path.lstat().st_mode) for path in found}


NAMES = ("..", ".", "", "a/b", "../run", "/etc", "a\0b", "é", "x" * 101, ".hidden", 7, None, ["a"], {"a": 1})


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_folder_is_named_and_never_a_path(taken: Taken, name: object) -> None:
    before = owners(taken.var)
    for answer in (
        taken.asks("folder", name),
        taken.asks("discard", name),
        taken.asks("rename", "spare-a", name),
        taken.asks("rename", name, "b"),
        taken.start(name, "b"),  # type: ignore[arg-type]
        taken.start("a", name),  # type: ignore[arg-type]
    ):
        assert "error" in answer
    assert owners(taken.var) == before


def test_what_is_no_request_is_answered_and_nothing_else(taken: Taken) -> None:
    start = {"argv": SLEEPS, "environment": {}, "work": "a", "box": "b", "egress": "open"}
    for do, arguments in (
        ("configure", [{"kind": "process"}]),
        ("__init__", []),
        ("close", []),
        (None, []),
        ("why", []),
        ("why", ["../x"]),
        ("signal", [HANDLE, "9"]),
        ("signal", [HANDLE, 9.0]),
        ("signal", [HANDLE, True]),
        ("limit_memory", [HANDLE, -1]),
        ("limit_memory", [HANDLE, 1 << 64]),
        ("limit_memory", [HANDLE, 1e308]),
        ("enforce", ["closed"]),
        ("admit", [HANDLE, "run/kernel-1.sock"]),
        ("admit", [HANDLE, "/" + "x" * 5000]),
        ("start", [start]),
        ("start", [{**start, "uid": 0}]),
    ):
        assert "error" in taken.asks(do, *arguments)
    for fault in (
        {"argv": []},
        {"argv": [""]},
        {"argv": ["a\0b"]},
        {"argv": ["\ud800"]},
        {"argv": "sh"},
        {"environment": {"A=B": "x"}},
        {"environment": {"A": 1}},
        {"environment": []},
        {"egress": "everything"},
    ):
        assert "error" in taken.start("a", "b", **fault)
    assert taken.asks("limit_memory", HANDLE, 0)["error"] == f"there is no '{HANDLE}'"


def test_descriptors_are_one_file_for_a_start_and_none_for_anything_else(taken: Taken) -> None:
    taken.asks("folder", "a")
    box = taken.box()
    wanted = {"argv": SLEEPS, "environment": {}, "work": "a", "box": box.name, "egress": "open"}
    held = psutil.Process(taken.launched.process.pid).num_fds()
    reading, writing = os.pipe()
    with Path("/etc/hostname").open("rb") as read_only, socket.socket(socket.AF_UNIX) as stranger, Path("/dev/null").open("wb") as device:
        for descriptors in ((), (reading,), (writing,), (read_only.fileno(),), (stranger.fileno(),), (device.fileno(),), (taken.stderr,) * 2):
            assert "error" in taken.asks("start", wanted, descriptors=descriptors)
        assert "error" in taken.asks("why", HANDLE, descriptors=(taken.stderr,))
    os.close(reading)
    os.close(writing)
    # Answered once all is closed that came before.
    taken.asks("why", HANDLE)
    assert psutil.Process(taken.launched.process.pid).num_fds() == held


@pytest.mark.parametrize("data", [b"{", b"[]", b"null", b'{"id": "1"}', b'{"do": "box"}', b"\xff" * 100, b"[" * 100_000, b"9" * 5000, b" " * 200_000])
def test_what_is_no_packet_ends_the_launcher_in_order(taken: Taken, data: bytes) -> None:
    kernel, box = taken.started()
    assert kernel
    pids = [child.pid for child in psutil.Process(taken.launched.process.pid).children()]
    assert taken.says(data) is None
    assert taken.launched.process.wait(60) == 1
    assert not box.exists()
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], 60)
    assert not alive


def test_more_descriptors_than_are_taken_end_the_launcher(taken: Taken) -> None:
    assert taken.says(b'{"id": 1, "do": "box", "with": []}', (taken.stderr,) * 20) is None
    assert taken.launched.process.wait(60) == 1


def test_signals_reach_kernels_of_this_launcher_alone(taken: Taken) -> None:
    kernel, _ = taken.started()
    for number in (0, signal.SIGHUP, signal.SIGUSR1, 64, -1):
        assert "SIGINT" in taken.asks("signal", kernel, int(number))["error"]
    for other in (str(os.getpid()), "1", HANDLE):
        assert "there is no" in taken.asks("signal", other, int(signal.SIGKILL))["error"]


def test_admitted_is_a_socket_of_the_brokers_and_each_to_one_kernel(taken: Taken, tmp_path: Path) -> None:
    kernel, box = taken.started()
    honest = taken.broker_socket()
    (taken.var / "run" / _name(2)).symlink_to(honest)
    (plain := taken.var / "run" / _name(3)).write_text("of the broker's disk")
    os.chown(plain, taken.broker, -1)
    (taken.var / "link").symlink_to(taken.var / "run")
    refused = ["/run/docker.sock", "/var/run/docker.sock", "/etc/shadow", str(taken.var / "broker" / "identity"), str(taken.var / "run")]
    refused += [str(path) for path in (taken.var / "run").iterdir() if path != honest]
    refused += [str(taken.broker_socket("docker.sock")), str(taken.var / "link" / honest.name), f"{taken.var}/run/../run/{honest.name}"]
    for path in refused:
        assert "error" in taken.asks("admit", kernel, path), path
    assert not (box / "broker.sock").exists()
    answer = taken.asks("admit", kernel, str(honest))
    assert answer["path"] == str(box / "broker.sock" if ROOT else honest)


def test_the_form_of_sockets_names_is_the_brokers() -> None:
    assert all(sockets.NAME.fullmatch(_name(epoch)) for epoch in (1, 99_999_999))


def test_a_box_with_a_kernel_is_not_taken_away_nor_given_twice(taken: Taken) -> None:
    _, box = taken.started()
    assert "is a kernel's" in taken.asks("discard", box.name)["error"]
    assert box.is_dir()
    taken.asks("folder", "other")
    if ROOT:
        assert "not what it was made as" in taken.start("other", box.name)["error"]


def test_only_a_spares_folder_is_renamed_and_onto_nothing(taken: Taken) -> None:
    taken.asks("folder", "victim")
    (taken.var / "work" / "victim" / "notes").write_text("x")
    taken.asks("folder", "spare-1")
    assert "error" in taken.asks("rename", "victim", "mine")
    assert "error" in taken.asks("rename", "spare-1", "victim")
    assert (taken.var / "work" / "victim" / "notes").read_text() == "x"
    assert "error" not in taken.asks("rename", "spare-1", "mine")


@as_root
def test_nothing_but_its_own_is_given_to_a_kernel(taken: Taken, apart: bool) -> None:
    """What the server can do in a box before a kernel starts with it: links of both kinds, and things of other users."""
    secret = taken.var / "secret"
    secret.write_text("of root")
    of_broker = taken.var / "run" / "of-broker"
    of_broker.write_text("x")
    os.chown(of_broker, BROKER, BROKER)
    taken.asks("folder", "a")

    def linked(box: Path) -> None:
        os.link(secret, box / "connection.json")

    def brokers(box: Path) -> None:
        os.link(of_broker, box / "connection.json")

    def symlinked(box: Path) -> None:
        (box / "connection.json").symlink_to(secret)

    def own_twice(box: Path) -> None:
        (box / "connection.json").touch()
        os.chown(box / "connection.json", SERVER, SERVER)
        os.link(box / "connection.json", box / "again")

    def fifo(box: Path) -> None:
        os.mkfifo(box / "connection.json")

    def folder(box: Path) -> None:
        (box / "home").rmdir()
        (box / "home").symlink_to("/etc")

    def another(box: Path) -> None:
        (box / "home").rmdir()
        (box / "home").mkdir()
        os.chown(box / "home", SERVER, SERVER)

    for attack in (linked, brokers, symlinked, own_twice, fifo, folder, another):
        box = taken.box()
        if attack not in (folder, another):
            (box / "connection.json").unlink()
        attack(box)
        before = {str(path): (path.stat().st_uid, path.stat().st_mode) for path in (secret, of_broker, Path("/etc"))}
        assert "error" in taken.start("a", box.name), attack.__name__
        assert {str(path): (path.stat().st_uid, path.stat().st_mode) for path in (secret, of_broker, Path("/etc"))} == before, attack.__name__


@as_root
def test_folders_of_others_and_links_are_not_worked_in(taken: Taken, apart: bool) -> None:
    """As an older runtime's server could have left them, which owned the folder above."""
    work = taken.var / "work"
    (work / "linked").symlink_to("/etc")
    (work / "roots").symlink_to(taken.var / "run")
    (work / "brokers").mkdir()
    os.chown(work / "brokers", BROKER, BROKER)
    before = owners(taken.var / "run")
    for name in ("linked", "roots", "brokers", "missing"):
        assert "error" in taken.start(name, taken.box().name), name
    assert owners(taken.var / "run") == before
    assert (work / "brokers").stat().st_uid == BROKER


@as_root
def test_the_server_cannot_swap_what_was_checked(taken: Taken, apart: bool) -> None:
    """Every name above a kernel's own folders is the launcher's."""
    taken.asks("folder", "a")
    box = taken.box()

    def as_server() -> None:
        os.setgroups([])
        os.setresgid(SERVER, SERVER, SERVER)
        os.setresuid(SERVER, SERVER, SERVER)

    swap = (
        "import os, sys\n"
        "for path in sys.argv[1:]:\n"
        "    for attempt in (lambda: os.rename(path, path + '-'), lambda: os.symlink('/etc', path + '-'), lambda: os.rmdir(path)):\n"
        "        try: attempt()\n"
        "        except PermissionError: continue\n"
        "        print('done', path)\n"
    )
    said = subprocess.run(
        ["/usr/bin/python3", "-c", swap, str(taken.var / "work" / "a"), str(box)], preexec_fn=as_server, capture_output=True, text=True, check=True
    )
    assert said.stdout == ""


@as_root
def test_users_that_are_used_up_are_said(taken: Taken, apart: bool) -> None:
    for uid in range(KERNELS[0], KERNELS[1] + 1):
        folder = taken.var / "work" / f"s{uid}"
        folder.mkdir()
        os.chown(folder, uid, SERVER)
    taken.asks("folder", "late")
    assert "SPIN_KERNEL_UIDS" in taken.start("late", taken.box().name)["error"]


@as_root
def test_kernels_have_users_of_their_own_and_keep_them(taken: Taken, apart: bool) -> None:
    kernel, _ = taken.started()
    taken.asks("folder", "other")
    other = taken.start("other", taken.box().name)
    uids = [(taken.var / "work" / name).stat().st_uid for name in ("honest", "other")]
    assert len(set(uids)) == 2
    assert all(KERNELS[0] <= uid <= KERNELS[1] for uid in uids)
    assert psutil.Process(other["pid"]).uids().effective == uids[1]
    taken.asks("release", kernel)
    assert "kernel" in taken.start("honest", taken.box().name)
    assert (taken.var / "work" / "honest").stat().st_uid == uids[0]
