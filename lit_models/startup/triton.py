"""Postpones the import of Triton, which only GPU kernels use.

Lightning imports `torch.utils.flop_counter`, which imports Triton to recognise its functions. A placeholder for their
class is enough for that: a program that has such a function has imported Triton itself.
"""

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

NAME = "triton.runtime.jit"


class _Functions(type):
    """Recognises the functions of the real Triton."""

    def __instancecheck__(cls, instance: object) -> bool:
        real = getattr(sys.modules.get(NAME), "JITFunction", None)
        return real not in (None, JITFunction) and isinstance(instance, real)


class JITFunction(metaclass=_Functions):
    """The placeholder for the class of Triton's functions, for `isinstance`."""


def postpone_triton() -> None:
    """Imports PyTorch's counter of operations without Triton, unless one of them is imported already."""
    if "triton" in sys.modules or "torch.utils.flop_counter" in sys.modules or find_spec("triton") is None:
        return
    placeholder: Any = ModuleType(NAME)
    placeholder.JITFunction = JITFunction
    sys.modules[NAME] = placeholder
    try:
        importlib.import_module("torch.utils.flop_counter")
    finally:
        del sys.modules[NAME]
