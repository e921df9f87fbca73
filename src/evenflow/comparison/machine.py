"""What a comparison ran on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path

__all__ = ["machine_info"]

_PACKAGES = ("evenflow", "numpy", "scipy", "numba", "torch", "pyamg", "pytorch_optimizer", "qdldl")
_THREADS = ("EVENFLOW_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def machine_info() -> dict[str, str]:
    """Processor, cores, system, thread settings and package versions, as strings by name.

    Examples
    --------
    >>> "python" in machine_info()
    True
    """
    info = {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    if "torch" in sys.modules:
        import torch

        info["torch_threads"] = str(torch.get_num_threads())
    info |= {name: os.environ[name] for name in _THREADS if name in os.environ}
    for package in _PACKAGES:
        try:
            info[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            info[package] = "not installed"
    return info


def _cpu_model() -> str:
    """Model name where the system tells it."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
