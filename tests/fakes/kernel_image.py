"""An image of kernels made from this machine's files: the Python that runs the tests with what a kernel imports, a shell, and some programs.

No registry is asked. It is a tar for `docker import`; what programs need of libraries is what ldd says.
"""

import io
import os
import shutil
import ssl
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import IO

from packaging.requirements import Requirement

import spin_kernel
import spinapis

PROGRAMS = ("sh", "bash", "sleep", "setsid", "unshare", "su", "true", "cat", "ls", "env", "ps", "curl")
DISTRIBUTIONS = ("ipykernel", "polars", "protobuf", "googleapis-common-protos", "protovalidate", "rfc8785", "psutil", "requests", "ahocorasick_rs")
# At 3.11's own place, so that what a kernelspec calls `python3` is found.
PREFIX = Path("usr/local")
LIBRARY = PREFIX / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
LEFT_OUT = {"test", "tests", "idlelib", "ensurepip", "turtledemo", "lib2to3", "site-packages"}
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
KERNEL = """{"argv": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Python 3", "language": "python",
"metadata": {"supported_encryption": ["curve"]}}"""


def write(file: IO[bytes], *, distributions: Iterable[str] = DISTRIBUTIONS, ours: bool = True) -> None:
    """`distributions` with all that they need; `ours` is whether spin_kernel is among it."""
    with tarfile.open(fileobj=file, mode="w|") as tar:
        for folder in ("tmp", "var/tmp", "proc", "sys", "dev", "etc", "work", "root"):
            _folder(tar, folder)
        found = list(_closure(distributions))
        _programs(tar, [Path(str(each.locate_file(file))) for each in found for file in each.files or () if ".so" in file.suffixes])
        _python(tar)
        for distribution in found:
            _distribution(tar, distribution)
        for package in (spin_kernel, spinapis) if ours else ():
            source = Path(next(iter(package.__path__)))
            tar.add(source, str(LIBRARY / "site-packages" / source.name), filter=_plain)
        if AUTHORITIES.is_file():
            _file(tar, AUTHORITIES, ssl.get_default_verify_paths().openssl_cafile.lstrip("/"))
        _text(tar, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        _text(tar, str(PREFIX / "share/jupyter/kernels/python3/kernel.json"), KERNEL)


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Root's, and without what no kernel imports."""
    name = Path(info.name)
    if name.name in ("test", "tests") or name.suffix in (".a", ".pyi", ".h"):
        return None
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _folder(tar: tarfile.TarFile, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    tar.addfile(info)


def _text(tar: tarfile.TarFile, name: str, text: str) -> None:
    info, data = tarfile.TarInfo(name), text.encode()
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


def _programs(tar: tarfile.TarFile, modules: Iterable[Path]) -> None:
    found = [Path(os.path.realpath(path)) for name in PROGRAMS if (path := shutil.which(name))]
    for name in PROGRAMS:
        if path := shutil.which(name):
            _file(tar, Path(os.path.realpath(path)), f"usr/bin/{name}")
    for link in ("bin", "lib", "lib64"):
        info = tarfile.TarInfo(link)
        info.type, info.linkname = tarfile.SYMTYPE, f"usr/{link}"
        tar.addfile(info)
    found += [*modules, *Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("*.so"), Path(os.path.realpath(sys.executable))]
    for name, library in sorted({_place(name): name for name in _libraries(found)}.items()):
        _file(tar, Path(os.path.realpath(library)), name)


def _place(library: str) -> str:
    """Where the loader finds it without being told."""
    system = library.startswith(("/lib", "/usr/lib"))
    return f"usr{library.removeprefix('/usr')}" if system else f"usr/lib/{Path(library).name}"


def _libraries(programs: Iterable[Path]) -> set[str]:
    said = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    words = [word for line in said.splitlines() if not line.endswith(":") for word in line.split()]
    return {word for word in words if word.startswith("/") and Path(word).exists()}


def _file(tar: tarfile.TarFile, source: Path, name: str) -> None:
    info = tar.gettarinfo(source, name)
    # A hard link would need its other name.
    info.type, info.size = tarfile.REGTYPE, source.stat().st_size
    with source.open("rb") as data:
        tar.addfile(_plain(info) or info, data)


def _python(tar: tarfile.TarFile) -> None:
    _file(tar, Path(os.path.realpath(sys.executable)), str(PREFIX / "bin/python3"))
    for entry in sorted(Path(sysconfig.get_path("stdlib")).iterdir()):
        if entry.name not in LEFT_OUT and not entry.name.startswith("config-"):
            tar.add(entry, str(LIBRARY / entry.name), filter=_plain)


def _closure(names: Iterable[str]) -> Iterator[metadata.Distribution]:
    wanted, seen = list(names), set[str]()
    while wanted:
        name = wanted.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        yield distribution
        needs = [Requirement(text) for text in distribution.requires or ()]
        wanted += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]


def _distribution(tar: tarfile.TarFile, distribution: metadata.Distribution) -> None:
    for file in distribution.files or ():
        source = Path(str(distribution.locate_file(file)))
        if file.parts[0] != ".." and source.is_file():
            _file(tar, source, str(LIBRARY / "site-packages" / file))
