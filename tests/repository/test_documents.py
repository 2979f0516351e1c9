"""What the documents name as evidence is there: files by their paths, tests by their names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
FOLDERS = ("tests", "docs", "services", "envelope", "cells", "runtime", "client", "web", "scripts", "gateway", "protos", "requirements")
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def named(text: str) -> set[str]:
    """Paths; a part in capitals stands for any name."""
    paths = (name for name in _CODE.findall(text) if "/" in name and re.fullmatch(r"[\w./-]+", name))
    return {path for path in paths if path.split("/")[0] in FOLDERS and not any(part.isupper() for part in path.split("/"))}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_and_links_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    missing = {name for name in named(text) if not (ROOT / name).exists()}
    assert missing | {link for link in _LINK.findall(text) if not (document.parent / link).exists()} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tests_that_are_named_exist(document: Path) -> None:
    files = {path.stem for path in ROOT.glob("tests/**/test_*.py")}
    assert {name for name in _CODE.findall(document.read_text()) if re.fullmatch(r"test_\w+", name)} - files == set()
