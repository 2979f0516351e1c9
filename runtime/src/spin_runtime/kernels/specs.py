"""The kernels that an image holds, as the launcher's probe found them there, for jupyter_client."""

import re
from collections.abc import Mapping
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel

_ANY_PYTHON = re.compile(r"python(3(\.\d+)?)?")


class ImageSpecs(KernelSpecManager):
    _found: Mapping[str, Any]

    def __init__(self, found: Mapping[str, Any], python: str) -> None:
        super().__init__()
        self._found = {name: {**entry, "spec": _with_python(entry["spec"], python)} for name, entry in found.items()}

    def find_kernel_specs(self) -> dict[str, str]:
        return {name: entry["resource_dir"] for name, entry in self._found.items()}

    def get_all_specs(self) -> dict[str, Any]:
        return dict(self._found)

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        if kernel_name not in self._found:
            raise NoSuchKernel(kernel_name)
        entry = self._found[kernel_name]
        return KernelSpec(resource_dir=entry["resource_dir"], **entry["spec"])


def _with_python(spec: Mapping[str, Any], python: str) -> dict[str, Any]:
    """jupyter_client would put this process's own Python in place of a bare name."""
    argv = list(spec["argv"])
    if argv and _ANY_PYTHON.fullmatch(argv[0]):
        argv[0] = python
    return {**spec, "argv": argv}
