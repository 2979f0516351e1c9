"""`spinctl audit`: an export verifies without a platform, and the first entry that was touched is named."""

import base64
import json
from pathlib import Path

import pytest

from tests.client.conftest import Bench, Spinctl


@pytest.fixture
async def export(signed_in: Spinctl, bench: Bench, tmp_path: Path) -> Path:
    for number in range(4):
        bench.control_plane.append("test.entry", {"number": number})
    file = tmp_path / "log.jsonl"
    assert (await signed_in("audit", "export", "-o", str(file))).status == 0
    return file


async def test_an_untouched_export_verifies_offline(spinctl: Spinctl, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIN_URL", "http://localhost:9")
    ran = await spinctl("audit", "verify", str(export))
    assert ran.status == 0 and ran.out.startswith("Verified: 5 entries (the whole log)")


async def test_a_changed_body_is_named_by_line_and_index(spinctl: Spinctl, export: Path) -> None:
    lines = export.read_text().splitlines()
    entry = json.loads(lines[3])
    entry["body"] = base64.b64encode(b'{"number": 99}').decode()
    lines[3] = json.dumps(entry)
    export.write_text("\n".join(lines) + "\n")
    ran = await spinctl("audit", "verify", str(export), "--json")
    assert ran.status == 1
    assert (ran.json()["verified"], ran.json()["line"], ran.json()["index"]) == (False, 4, 2)


async def test_a_missing_entry_is_noticed(spinctl: Spinctl, export: Path) -> None:
    lines = export.read_text().splitlines()
    export.write_text("\n".join(lines[:2] + lines[3:]) + "\n")
    assert (await spinctl("audit", "verify", str(export))).status == 1


async def test_another_root_is_noticed(spinctl: Spinctl, export: Path) -> None:
    assert (await spinctl("audit", "verify", str(export), "--root-digest", "00" * 32)).status == 1
    assert (await spinctl("audit", "verify", str(export), "--root-digest", "xyz")).status == 2


async def test_a_file_that_is_no_export(spinctl: Spinctl, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("hello\n")
    assert (await spinctl("audit", "verify", str(file))).status == 1
    assert (await spinctl("audit", "verify", str(tmp_path / "none"))).status == 2


async def test_the_checkpoint_is_verified_before_it_is_shown(signed_in: Spinctl, bench: Bench) -> None:
    bench.control_plane.append("test.entry", {})
    assert (await signed_in("audit", "checkpoint", "--json")).json()["size"] == 2
    bench.control_plane.signers.audit = bench.control_plane.signers.compiler
    forged = await signed_in("audit", "checkpoint")
    assert forged.status == 4 and "not signed" in forged.err


async def test_the_log_is_listed_newest_first(signed_in: Spinctl, bench: Bench) -> None:
    bench.control_plane.append("test.first", {"n": 1})
    bench.control_plane.append("test.second", {"n": 2})
    entries = (await signed_in("audit", "log", "--json", "-n", "2")).json()
    assert [(e["type"], e["body"]) for e in entries] == [("test.second", {"n": 2}), ("test.first", {"n": 1})]
