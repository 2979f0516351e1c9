"""spinctl connection import: three forms of a file, faults by their rows, and no credential on the screen."""

import json
from pathlib import Path

import pytest

from tests.client.conftest import Spinctl
from tests.fakes.platform import FakePlatform

SECRET = "s3cret-of-the-file"
OBJECTS = [
    {"name": "api", "kind": "rest", "config": {"base_url": "https://a.example.org"}, "credential": {"token": SECRET}, "hosts": ["a.example.org"]},
    {"name": "bare", "kind": "rest", "expires": "2040-01-31", "default": True},
]
CSV = f"""name,kind,config.base_url,credential.token,hosts,operations,default
api,rest,https://a.example.org,{SECRET},a.example.org b.example.org,rest.request,
bare,rest,,,,,yes
"""
FILES = {
    "list.json": json.dumps(OBJECTS, indent=2),
    "one.json": json.dumps(OBJECTS[0], indent=2),
    "lines.jsonl": "\n".join(json.dumps(one) for one in OBJECTS) + "\n",
    "table.csv": "\ufeff" + CSV,
}


@pytest.mark.parametrize("name", FILES)
async def test_each_form_of_a_file(signed_in: Spinctl, control_plane: FakePlatform, tmp_path: Path, name: str) -> None:
    control_plane.add_workspace()
    file = tmp_path / name
    file.write_text(FILES[name])
    tried = await signed_in("connection", "import", str(file), "--dry-run")
    assert tried.status == 0 and control_plane.connections == {} and "dry run" in tried.err
    made = await signed_in("connection", "import", str(file))
    assert made.status == 0 and SECRET not in made.out + made.err + tried.out + tried.err
    api = next(one for one in control_plane.connections.values() if one.name == "api")
    assert control_plane.credentials[api.id] == {"token": SECRET} and json.loads(api.config_json) == {"base_url": "https://a.example.org"}
    assert api.allowed_hosts[0] == "a.example.org"
    assert [line.split("\t")[0] for line in made.out.splitlines()] == (["api"] if name == "one.json" else ["api", "bare"])


async def test_people_references_and_what_may_be_exposed(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    control_plane.add_workspace()
    reference = {"manager": "vault", "path": "kv/app"}
    said = {"name": "a", "kind": "rest", "references": {"token": reference}, "use": ["agent"], "manage": ["0a1b"], "exposable": True}
    table = f"""name,kind,references.token,use,exposable\nb,rest,"{json.dumps(reference).replace('"', '""')}",agent 0a1b,yes\n"""
    for text in (json.dumps([said]), table):
        assert (await signed_in("connection", "import", "-", stdin=text)).status == 0
    a, b = control_plane.connections.values()
    assert all(json.loads(one.references_json) == {"token": reference} and one.exposable and len(one.grants) == 2 for one in (a, b))


async def test_from_standard_input(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    control_plane.add_workspace()
    assert (await signed_in("connection", "import", "-", stdin=CSV)).status == 0
    assert len(control_plane.connections) == 2


async def test_what_the_platform_finds_is_told_by_the_files_rows(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    control_plane.add_workspace()
    ran = await signed_in("connection", "import", "-", stdin=CSV + f"queue,amqp,,{SECRET},,,\n")
    assert ran.status == 4 and control_plane.connections == {}
    assert ran.out == "line 4\tqueue\tkind\tNo such kind, as in line 4.\n"
    assert SECRET not in ran.out + ran.err


FAULTY = {
    "not an object": ('{"name":"a"}\n"s3cret"\n', ["line 2"]),
    "not JSON": ('{"name":"a"}\n{"credential":{"token":"s3cret"\n', ["line 2"]),
    "no such field": ('[{"name":"a","s3cret":1}]', ["item 1\ta\ts3cret"]),
    "forms of values": (
        '[{"name":1,"config":[],"credential":"s3cret-value","hosts":"h","default":"yes","expires":"soon"}]',
        ["config", "credential", "default", "expires", "hosts", "name"],
    ),
    "half a character": ('[{"name":"\\ud800"}]', ["item 1\t\tname"]),
    "a column": ("name,kind,token\na,rest,s3cret-value\n", ["line 2\ta\ttoken"]),
    "a cell too many": ("name,kind\na,rest,s3cret-value\n", ["line 2\ta\t"]),
    "a default that is none": ("name,default\na,s3cret-value\n", ["line 2\ta\tdefault"]),
}


@pytest.mark.parametrize("case", FAULTY)
async def test_what_the_file_has_wrong(signed_in: Spinctl, control_plane: FakePlatform, case: str) -> None:
    control_plane.add_workspace()
    text, told = FAULTY[case]
    ran = await signed_in("connection", "import", "-", stdin=text)
    assert ran.status == 4 and control_plane.connections == {}
    assert all(one in ran.out for one in told) and len(ran.out.splitlines()) == len(told)
    assert "s3cret-value" not in ran.out + ran.err


@pytest.mark.parametrize("text", ["[", "[]", "kind,host\nrest,x\n", 'name,kind\n"s3cret', "s3cret"])
async def test_what_is_no_file_of_connections(signed_in: Spinctl, control_plane: FakePlatform, text: str) -> None:
    control_plane.add_workspace()
    ran = await signed_in("connection", "import", "-", stdin=text)
    assert ran.status == 2 and "s3cret" not in ran.err and len(ran.err.splitlines()) == 1
