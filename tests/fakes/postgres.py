"""A real PostgreSQL for tests: in a container where a Docker engine has the image, else the installed server on a free port.

Rules: one server per test session, one database per test; the server runs as a user of its own because it refuses to be root, and
trades durability for speed because its data is thrown away.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from tests.fakes.installation import free_ports

IMAGE = os.environ.get("SPIN_TEST_POSTGRES_IMAGE", "postgres:15")
FAST = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200"]


@contextmanager
def running() -> Iterator[str]:
    """The address of a server: postgresql://user@host:port."""
    with _in_container() if _image_is_there() else _installed() as address:
        yield address


async def new_database(address: str) -> str:
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(f"{address}/postgres")
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    return f"{address}/{name}"


async def drop_database(url: str) -> None:
    address, _, name = url.rpartition("/")
    connection = await asyncpg.connect(f"{address}/postgres")
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()


def _image_is_there() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        return subprocess.run([docker, "image", "inspect", IMAGE], capture_output=True, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@contextmanager
def _in_container() -> Iterator[str]:
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.postgres import PostgresContainer

    with PostgresContainer(IMAGE) as server:
        host, port = server.get_container_host_ip(), server.get_exposed_port(5432)
        yield f"postgresql://{server.username}:{server.password}@{host}:{port}"


@contextmanager
def _installed() -> Iterator[str]:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin")) + [Path(found).parent for found in [shutil.which("postgres")] if found]
    assert folders, "no PostgreSQL: install one (apt-get install postgresql), or have a Docker engine with its image"
    port = free_ports(1)[0]
    root = Path(tempfile.mkdtemp(prefix="spin-postgres-"))
    user = _owner(root)
    data = root / "data"
    try:
        _run(user, [str(folders[-1] / "initdb"), "-D", str(data), "-U", "spin", "-A", "trust", "-E", "UTF8", "--no-sync"])
        options = " ".join([*FAST, "-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-c", f"unix_socket_directories={root}"])
        control = str(folders[-1] / "pg_ctl")
        _run(user, [control, "-D", str(data), "-l", str(root / "log"), "-o", options, "-w", "-t", "60", "start"])
        try:
            yield f"postgresql://spin@127.0.0.1:{port}"
        finally:
            _run(user, [control, "-D", str(data), "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _owner(root: Path) -> str | None:
    """Who runs the server: ourselves, or the package's own user when we are root."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("postgres")
    os.chown(root, entry.pw_uid, entry.pw_gid)
    return entry.pw_name


def _run(user: str | None, argv: list[str]) -> None:
    prefix = ["runuser", "-u", user, "--"] if user else []
    # The server keeps inherited pipes open for its whole life, so its output goes to a file.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run([*prefix, *argv], stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=90, cwd="/")
        output.seek(0)
        assert done.returncode == 0, output.read().decode(errors="replace")
