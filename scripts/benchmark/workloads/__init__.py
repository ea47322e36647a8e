"""One file per workload: what is computed, by which rivals, and the targets."""

import pkgutil
from importlib import import_module

from scripts.benchmark.cells import Workload


def load() -> dict[str, Workload]:
    """All workloads by name. Each file here has one or more in `WORKLOADS`."""
    files = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    workloads = sorted((w for file in files for w in file.WORKLOADS), key=lambda workload: workload.place)
    return {workload.name: workload for workload in workloads}
