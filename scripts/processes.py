"""Used by the studies: an environment for processes with one thread, and a record of where a result comes from."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("torch", "lightning", "numpy", "keras", "tensorflow", "tensorflow-cpu", "jax")
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}
"""Environment variables that give torch, TensorFlow and JAX one thread. Rounding then does not depend on other programs
on the machine."""


def provenance() -> dict[str, Any]:
    """The commit, the machine and the versions of Python and of the packages that compute."""
    from lit_models.runs.results import commit  # imports torch

    installed = {d.name.replace("_", "-"): d.version for d in metadata.distributions()}
    versions = {name: installed[name] for name in PACKAGES if name in installed}
    return {
        "commit": commit(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread a run",
        "versions": {"python": platform.python_version(), **versions},
    }
