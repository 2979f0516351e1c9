"""What a browser gets: the page for every address of the application, files with the caching that fits them, nothing from outside the folder."""

from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from spin_services.ui.app import build


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<title>SPIN</title>")
    (dist / "assets" / "app-1a2b.js").write_text("let a = 1")
    (dist / "favicon.svg").write_text("<svg/>")
    (tmp_path / "secret.txt").write_text("not for the web")
    return dist


async def get(folder: Path, path: str) -> tuple[int, str, str]:
    async with TestClient(TestServer(build(folder))) as client, client.get(path) as reply:
        return reply.status, await reply.text(), reply.headers.get("cache-control", "")


@pytest.mark.parametrize("path", ["/", "/index.html", "/workspaces/0123/notebooks/4567", "/sign-in"])
async def test_every_page_is_the_application_and_is_asked_for_again(folder: Path, path: str) -> None:
    assert await get(folder, path) == (200, "<title>SPIN</title>", "no-cache")


async def test_assets_are_kept_for_ever(folder: Path) -> None:
    assert await get(folder, "/assets/app-1a2b.js") == (200, "let a = 1", "public, max-age=31536000, immutable")


async def test_other_files_are_kept_for_an_hour(folder: Path) -> None:
    assert (await get(folder, "/favicon.svg"))[2] == "public, max-age=3600"


@pytest.mark.parametrize("path", ["/assets/gone.js", "/robots.txt", "/assets/"])
async def test_a_missing_file_is_missing_and_not_the_page(folder: Path, path: str) -> None:
    assert (await get(folder, path))[0] == 404


@pytest.mark.parametrize("path", ["/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt", "/..%2fsecret.txt"])
async def test_nothing_outside_the_folder_is_served(folder: Path, path: str) -> None:
    status, text, _ = await get(folder, path)
    assert "not for the web" not in text
    assert status in (200, 404)


def test_a_folder_without_a_page_is_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make web"):
        build(tmp_path)
