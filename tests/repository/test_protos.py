"""What every proto of the platform promises, and that generated code says the same as the protos."""

import filecmp
import subprocess
from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def files() -> list[descriptor_pb2.FileDescriptorProto]:
    descriptors = descriptor_pb2.FileDescriptorSet.FromString((ROOT / "protos/gen/descriptors.binpb").read_bytes())
    return [file for file in descriptors.file if file.package.startswith("spinapis.")]


def methods(files: list[descriptor_pb2.FileDescriptorProto]) -> list[tuple[str, descriptor_pb2.MethodDescriptorProto]]:
    return [(f"{file.package}.{service.name}/{method.name}", method) for file in files for service in file.service for method in service.method]


def message(files: list[descriptor_pb2.FileDescriptorProto], name: str) -> descriptor_pb2.DescriptorProto:
    return next(m for file in files for m in file.message_type if f".{file.package}.{m.name}" == name)


def fields(files: list[descriptor_pb2.FileDescriptorProto], name: str) -> set[str]:
    return {field.name for field in message(files, name).field}


def test_every_unary_rpc_has_a_rest_address(files: list[descriptor_pb2.FileDescriptorProto]) -> None:
    without = [name for name, method in methods(files) if not method.server_streaming and not method.options.HasExtension(annotations_pb2.http)]
    assert without == []


def test_every_list_has_pages(files: list[descriptor_pb2.FileDescriptorProto]) -> None:
    singles = {"ListSignInMethods"}  # a handful by configuration, asked for before anyone is known
    without = [
        name
        for name, method in methods(files)
        if method.name.startswith("List") and method.name not in singles
        if not {"page_size", "page_token"} <= fields(files, method.input_type) or "next_page_token" not in fields(files, method.output_type)
    ]
    assert without == []


def test_every_create_takes_an_idempotency_key_and_every_update_an_etag(files: list[descriptor_pb2.FileDescriptorProto]) -> None:
    def lacking(field: str, *verbs: str) -> list[str]:
        return [name for name, method in methods(files) if method.name.startswith(verbs) and field not in fields(files, method.input_type)]

    creates, updates = lacking("idempotency_key", "Create", "Add", "Import"), lacking("etag", "Update")
    assert (creates, updates) == ([], [])


def test_generated_code_is_current(tmp_path: Path) -> None:
    if not (ROOT / "web/node_modules/.bin/protoc-gen-es").exists():
        pytest.fail("web/node_modules is missing: run 'make web-setup'")
    subprocess.run([ROOT / "scripts/gen.sh", tmp_path], cwd=ROOT, check=True, capture_output=True, timeout=100)
    for part in ("protos/gen", "web/src/gen"):
        made = {p.relative_to(tmp_path / part) for p in (tmp_path / part).rglob("*") if p.is_file()}
        kept = {p.relative_to(ROOT / part) for p in (ROOT / part).rglob("*") if p.is_file() and "__pycache__" not in p.parts}
        assert made == kept, f"{part} holds other files: run 'make gen'"
        _, different, missing = filecmp.cmpfiles(tmp_path / part, ROOT / part, [str(p) for p in made], shallow=False)
        assert (different, missing) == ([], []), f"{part} is not what the protos say: run 'make gen'"
