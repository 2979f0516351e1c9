"""What an image has for kernels: asked inside it, with the standard library alone."""

import importlib.util
from typing import Any

NEEDED = ("ipykernel", "jupyter_client", "spin_kernel")


def kernels() -> dict[str, Any]:
    try:
        from jupyter_client.kernelspec import KernelSpecManager
    except ImportError:
        return {}
    specs: dict[str, Any] = KernelSpecManager().get_all_specs()
    return specs


def missing() -> list[str]:
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]
