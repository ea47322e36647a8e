"""Imports Lightning, and postpones the parts of other packages that a run rarely needs until they are used.

`import lightning` imports all of torchmetrics, which imports torchvision, transformers, scipy and matplotlib if they
are installed. It also imports PyTorch's compiler. Together they take two to three times as long as torch itself.

- Metrics of images, texts, sounds and the like are imported when a program names them.
- The first plot of a metric imports matplotlib.
- The compiler is imported by the first `torch.compile` (see `startup.compiler`), and Triton by the first program that
  uses it (see `startup.triton`).

Nothing changes in a program that has imported Lightning or torchmetrics before.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from lit_models.startup.triton import postpone_triton

PACKAGES = ("torchvision", "transformers", "scipy", "matplotlib")
"""Packages that torchmetrics imports if they are installed."""
AREAS = ("audio", "detection", "image", "multimodal", "text", "video")
"""Parts of torchmetrics that use these packages."""


def import_lightning() -> None:
    """Imports torch and Lightning."""
    if "lightning" in sys.modules or "torchmetrics" in sys.modules:
        return
    with packages_hidden():
        import torchmetrics
    postpone_areas(torchmetrics)
    postpone_areas(torchmetrics.functional)
    postpone_plots()
    from lit_models.startup.compiler import postpone_compiler

    postpone_compiler()
    postpone_triton()
    import lightning.pytorch  # noqa: F401


@contextmanager
def packages_hidden() -> Iterator[None]:
    """Hides `PACKAGES` from torchmetrics."""
    from lightning_utilities.core import imports as module

    imports: Any = module
    package_available, is_available = imports.package_available, imports.RequirementCache.__bool__

    def is_shown(requirement: Any) -> bool:
        return not str(requirement.requirement).startswith(PACKAGES) and bool(is_available(requirement))

    imports.package_available = lambda name: name not in PACKAGES and package_available(name)
    imports.RequirementCache.__bool__ = is_shown
    try:
        yield
    finally:
        imports.package_available = package_available
        imports.RequirementCache.__bool__ = is_available


def postpone_areas(package: Any) -> None:
    """Unloads areas of torchmetrics or of its functions. They are imported again at their first use."""
    prefixes = tuple(f"{package.__name__}.{area}" for area in AREAS)
    for name in [n for n in sys.modules if n in prefixes or n.startswith(tuple(f"{p}." for p in prefixes))]:
        del sys.modules[name]
    for name, value in list(vars(package).items()):
        module = value.__name__ if isinstance(value, ModuleType) else str(getattr(value, "__module__", ""))
        if module in prefixes or module.startswith(tuple(f"{p}." for p in prefixes)):
            delattr(package, name)

    def find(name: str) -> Any:
        if name in AREAS:
            return importlib.import_module(f"{package.__name__}.{name}")
        if not name.startswith("_"):  # such as torchmetrics.BLEUScore for torchmetrics.text.BLEUScore
            for prefix in prefixes:
                area = importlib.import_module(prefix)
                for place in (area, sys.modules.get(f"{prefix}._deprecated")):
                    if value := getattr(place, f"_{name}", None) or getattr(place, name, None):
                        return value
        raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}")

    package.__getattr__ = find


def postpone_plots() -> None:
    """Postpones the import of matplotlib until the first plot."""
    plot: Any = importlib.import_module("torchmetrics.utilities.plot")

    def import_matplotlib() -> None:
        importlib.reload(plot)  # imports matplotlib, and restores torchmetrics' own check
        plot._error_on_missing_matplotlib()

    plot._error_on_missing_matplotlib = import_matplotlib
