"""`spin-runtime` as a person or a supervisor meets it: configuration, start, signals, restarts."""

import asyncio
import os
import signal
import socket
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from spin_envelope.pairing import SpinToken
from spin_runtime.settings import SettingsInvalid, from_environment, readable
from spinapis.envelope.v1 import receipt_pb2, run_pb2
from spinapis.runtime.v1 import frames_pb2 as f
from tests.fakes.control_plane import Client, ControlPlane, use
from tests.fakes.runtime_rig import Process, Seat, running, spawned, variables_of, wall_clock_ms

TOKEN = SpinToken.mint(bytes(16), bytes(16), bytes(32), bytes(32)).text


def faults(home: Path, **environment: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as refused:
        from_environment({"SPIN_TOKEN": TOKEN, "SPIN_HOME": str(home)} | environment)
    return refused.value.faults


def certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    signed = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1)).sign(key, hashes.SHA256())
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return cert_file, key_file


def test_every_fault_is_named_at_once_and_no_secret_is_repeated(tmp_path: Path) -> None:
    found = faults(tmp_path, SPIN_TOKEN="changeme-secret", SPIN_RUNTIME_PORT="many", SPIN_TRACE_RATIO="7", SPIN_LOG_FORMAT="xml")
    assert len(found) == 4
    assert "changeme-secret" not in "".join(found)
    assert "copy" in found[0]


def test_egress_that_nothing_enforces_is_a_fault(tmp_path: Path) -> None:
    assert "SPIN_ISOLATION=sandbox" in faults(tmp_path, SPIN_EGRESS="none")[0]
    assert "must be two numbers" in faults(tmp_path, SPIN_KERNEL_UIDS="0-5")[0]
    assert "must be one of" in faults(tmp_path, SPIN_ISOLATION="chroot")[0]


def test_a_wrong_range_of_users_is_said_once_where_kernels_are_pods(tmp_path: Path) -> None:
    pods = {"SPIN_ISOLATION": "kubernetes", "SPIN_UIDS": "shared", "KUBERNETES_SERVICE_HOST": "10.0.0.1", "SPIN_KERNEL_IMAGE": "kernels:1"}
    (fault,) = faults(tmp_path, SPIN_KERNEL_UIDS="0-5", **pods)
    assert "SPIN_KERNEL_UIDS must be two numbers" in fault


async def test_cells_run_in_a_sandbox_and_use_the_broker(tmp_path: Path) -> None:
    async with spawned(tmp_path, SPIN_ISOLATION="sandbox", SPIN_EGRESS="none", SPIN_SPARE_KERNELS="1") as runtime, runtime.attached() as seat:
        assert "Landlock" in str(next(entry["mechanisms"] for entry in runtime.log if entry["event"] == "kernels are isolated"))
        await seat.start_kernel()
        await seat.run("from pathlib import Path\nprint(Path('/proc/self/status').read_text())")
        assert "NoNewPrivs:\t1" in seat.text()


async def test_a_sandbox_that_is_impossible_ends_the_start(tmp_path: Path) -> None:
    """Everything below / readable would show the runtime's data."""
    environment = variables_of(tmp_path, ControlPlane()) | {"SPIN_ISOLATION": "sandbox", "SPIN_KERNEL_READABLE": "/"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "spin_runtime.main", env=environment, stderr=asyncio.subprocess.PIPE)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert b"SPIN_ISOLATION=sandbox is not possible here" in said
    assert b"set SPIN_HOME" in said


def test_a_missing_token_says_where_to_find_one(tmp_path: Path) -> None:
    assert "Add a runtime" in faults(tmp_path, SPIN_TOKEN="")[0]


def test_ca_bundles_are_files_or_hashed_directories(tmp_path: Path) -> None:
    cert, _ = certificate(tmp_path)
    hashed, plain = tmp_path / "hashed", tmp_path / "plain"
    hashed.mkdir()
    plain.mkdir()
    (hashed / "0a1b2c3d.0").write_bytes(cert.read_bytes())
    home = tmp_path / "home"
    base = {"SPIN_TOKEN": TOKEN, "SPIN_HOME": str(home)}
    for good in (cert, hashed):
        settings = from_environment(base | {"REQUESTS_CA_BUNDLE": str(good)})
        assert settings.warnings == ()
    assert "c_rehash" in faults(home, REQUESTS_CA_BUNDLE=str(plain))[0]
    assert "no readable CA" in faults(home, REQUESTS_CA_BUNDLE=str(tmp_path / "nothing"))[0]
    assert "not verified" in from_environment(base).warnings[0]


def test_half_of_a_certificate_is_a_fault(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    key.unlink()
    assert "private key" in faults(tmp_path)[0]
    key.write_text("not a key")
    assert "cannot be used" in faults(tmp_path)[0]
    assert cert.exists()


def test_cells_read_the_environment_without_the_runtimes_own() -> None:
    assert readable({"SPIN_TOKEN": TOKEN, "SPIN_HOME": "/opt/spin", "REGION": "north", "spin_lower": "x"}) == {"REGION": "north"}


async def test_https_with_a_mounted_certificate(tmp_path: Path) -> None:
    cert, _ = certificate(tmp_path)
    async with running(tmp_path, paired=False) as rig:
        context = ssl.create_default_context(cafile=str(cert))
        context.check_hostname = False
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port, ssl=context)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in await reader.read(200)
        writer.close()


async def test_warnings_reach_whoever_attaches(tmp_path: Path) -> None:
    async with running(tmp_path) as rig, rig.attached() as seat:
        assert "REQUESTS_CA_BUNDLE" in seat.attached.warnings[0]
        assert "python3" in [kernel.name for kernel in seat.attached.kernels]


async def test_metrics_have_a_port_of_their_own(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with running(tmp_path, SPIN_RUNTIME_METRICS_PORT=str(port)) as rig, rig.attached() as seat:
        await seat.start_kernel()
        await seat.run("print(1)")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        assert 'spin_runtime_runs_total{status="ok"} 1.0' in text
        assert "spin_runtime_connections 1.0" in text


async def test_sigterm_interrupts_the_run_keeps_its_receipts_and_exits_0(tmp_path: Path) -> None:
    async with spawned(tmp_path, SPIN_STOP_GRACE_S="0") as runtime:
        async with runtime.attached() as seat:
            await seat.start_kernel()
            nonce = await seat.submit("while True: pass")
            await seat.until(lambda frame: frame.run_state.phase == f.RUN_PHASE_RUNNING)
            await asyncio.sleep(0.3)
            children = psutil.Process(runtime.process.pid).children()
            runtime.process.send_signal(signal.SIGTERM)
            assert (await seat.ended(nonce)).status == receipt_pb2.RUN_STATUS_INTERRUPTED
        assert await asyncio.wait_for(runtime.ended(), 20) == 0
        assert not any(child.is_running() for child in children)
        assert [line for line in runtime.log if line.get("level") == "error"] == []
    async with spawned(tmp_path, runtime.plane, paired=False) as again:
        await _check_receipts_of_both_boots(again, runtime.port, nonce)


async def _check_receipts_of_both_boots(again: Process, old_port: int, nonce: run_pb2.RunNonce) -> None:
    # The enrolled host names the first port: come through it.
    async with again.socket(headers={"Host": f"127.0.0.1:{old_port}"}) as connection:
        seat = Seat(again.plane, Client(), connection)
        await seat.attach()
        await seat.until(lambda _: any(receipt.nonce == nonce and receipt.type == receipt_pb2.RECEIPT_TYPE_END for receipt in seat.receipts))
        assert [receipt.receipt_seq for receipt in seat.receipts] == list(range(1, len(seat.receipts) + 1))
        assert [receipt.type for receipt in seat.receipts].count(receipt_pb2.RECEIPT_TYPE_BOOT) == 2


async def test_a_killed_runtime_says_at_the_next_start_what_it_lost(tmp_path: Path) -> None:
    async with spawned(tmp_path) as runtime, runtime.attached() as seat:
        await seat.start_kernel()
        nonce = await seat.submit("import time; time.sleep(600)")
        await seat.until(lambda frame: frame.run_state.phase == f.RUN_PHASE_RUNNING)
        runtime.process.kill()
        await runtime.process.wait()
    async with spawned(tmp_path, runtime.plane, paired=False) as again, again.socket(headers={"Host": f"127.0.0.1:{runtime.port}"}) as connection:
        seat = Seat(again.plane, Client(), connection)
        await seat.attach()
        await seat.until(lambda _: any(receipt.status == receipt_pb2.RUN_STATUS_LOST and receipt.nonce == nonce for receipt in seat.receipts))


async def test_the_end_of_the_launcher_is_the_runtimes(tmp_path: Path) -> None:
    async with spawned(tmp_path) as runtime:
        family = psutil.Process(runtime.process.pid).children(recursive=True)
        next(child for child in family if "spin_runtime.launcher" in child.cmdline()).kill()
        assert await asyncio.wait_for(runtime.ended(), 60) == 1
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, 30)
        assert alive == []


async def test_the_second_signal_does_not_wait(tmp_path: Path) -> None:
    async with spawned(tmp_path, SPIN_STOP_GRACE_S="600") as runtime, runtime.attached() as seat:
        await seat.start_kernel()
        await seat.submit("import time; time.sleep(600)")
        await seat.until(lambda frame: frame.run_state.phase == f.RUN_PHASE_RUNNING)
        runtime.process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.3)
        runtime.process.send_signal(signal.SIGINT)
        # Well before the grace of ten minutes is over.
        assert await asyncio.wait_for(runtime.process.wait(), 60) == 1


async def test_the_log_shows_the_fingerprint_in_groups_and_never_the_token(tmp_path: Path) -> None:
    async with spawned(tmp_path) as runtime:
        runtime.process.send_signal(signal.SIGTERM)
        await runtime.ended()
        shown = next(line["fingerprint"] for line in runtime.log if "fingerprint" in line)
        assert [len(group) for group in shown.split()] == [8] * 8
        assert runtime.plane.token.text not in str(runtime.log)


async def test_a_cell_does_not_find_the_token_in_the_runtimes_environment(tmp_path: Path) -> None:
    async with spawned(tmp_path) as runtime, runtime.attached() as seat:
        await seat.start_kernel()
        await seat.run(f"try: print(open('/proc/{runtime.process.pid}/environ').read())\nexcept PermissionError: print('refused')")
        assert runtime.plane.token.text not in seat.text()
        assert "SPIN_HOME" in seat.text() or "refused" in seat.text()


async def test_a_token_with_a_line_break_at_its_end_is_the_same_token(tmp_path: Path) -> None:
    plane = ControlPlane(clock=wall_clock_ms)  # type: ignore[arg-type]
    async with spawned(tmp_path, plane, SPIN_TOKEN=f" {plane.token.text}\n") as runtime, runtime.attached() as seat:
        assert seat.attached.kernels


async def test_a_taken_port_is_said_in_one_line(tmp_path: Path) -> None:
    async with running(tmp_path / "one", paired=False) as rig:
        environment = variables_of(tmp_path / "two", ControlPlane()) | {"SPIN_RUNTIME_PORT": str(rig.port)}
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "spin_runtime.main", env=environment, stderr=asyncio.subprocess.PIPE)
        _, said = await process.communicate()
        assert process.returncode == 2
        assert b"Choose another SPIN_RUNTIME_PORT" in said
        assert b"Traceback" not in said
    assert os.environ.get("SPIN_TOKEN") is None


@pytest.mark.parametrize("folder", ["broker", "run", "work", "kernels", "streams"])
async def test_a_folder_that_cannot_be_used_is_named_in_one_line(tmp_path: Path, folder: str) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / folder).write_text("a file in its place")
    environment = variables_of(tmp_path, ControlPlane())
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "spin_runtime.main", env=environment, stderr=asyncio.subprocess.PIPE)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    (line,) = [line for line in said.decode().splitlines() if not line.startswith("{")]
    assert folder in line and "choose another SPIN_HOME" in line


async def test_a_taken_port_of_metrics_names_its_own_variable(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = variables_of(tmp_path, ControlPlane()) | {"SPIN_RUNTIME_METRICS_PORT": str(taken.getsockname()[1])}
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "spin_runtime.main", env=environment, stderr=asyncio.subprocess.PIPE)
        _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert b"Choose another SPIN_RUNTIME_METRICS_PORT" in said


async def test_a_secret_managers_file_that_is_wrong_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "secret-managers.json").write_text('{"managers": {"vault": {"kind": "vault", "allow": ["secret/*"]}}}')
    environment = variables_of(tmp_path, ControlPlane())
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "spin_runtime.main", env=environment, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"managers.vault: 'address' is a required property" in said


async def test_cells_do_not_read_the_variables_of_secret_managers(tmp_path: Path) -> None:
    file = tmp_path / "managers.json"
    file.write_text('{"managers": {"environment": {"kind": "runtime_env", "allow": ["DATABASE_*"]}}}')
    environment = {"SPIN_SECRET_MANAGERS": str(file), "DATABASE_PASSWORD": "find-me", "REGION": "north"}
    async with spawned(tmp_path / "home", **environment) as runtime, runtime.attached() as seat:
        await seat.start_kernel()
        uses = [use(b"", "runtime_env.get", params={"name": name}) for name in ("REGION", "DATABASE_PASSWORD")]
        code = "import os, spin_kernel\nprint(spin_kernel.runtime_env('REGION'), os.environ.get('DATABASE_PASSWORD'))\n"
        code += "try: spin_kernel.runtime_env('DATABASE_PASSWORD')\nexcept Exception as refused: print(refused)"
        printed = await seat.printed(code, uses=uses)
        assert "north None" in printed and "no variable 'DATABASE_PASSWORD'" in printed
        assert "find-me" not in seat.text()
