"""PyTorch's compiler, `torch._dynamo`, is imported when something is compiled, and not by the first optimizer.

torch and Lightning import the compiler, which takes as long as torch itself, only to tell it which functions it must
not compile. While it is not loaded, it compiles nothing, so it need not be told. A module that stands for it answers
the three names that they use then. Any other name, and any import of a part of the compiler, loads the real one.
"""

import functools
import importlib
import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from inspect import isfunction
from types import ModuleType
from typing import Any

import torch

NAME = "torch._dynamo"


class _Compiled(type):
    """Knows the modules that the real compiler has made."""

    def __instancecheck__(cls, instance: object) -> bool:
        compiler = loaded_compiler()
        return compiler is not None and isinstance(instance, compiler.OptimizedModule)

    def __subclasscheck__(cls, subclass: type) -> bool:
        compiler = loaded_compiler()
        return compiler is not None and issubclass(subclass, compiler.OptimizedModule)


class PostponedCompiler(ModuleType):
    """Stands for `torch._dynamo` until it is needed."""

    class OptimizedModule(metaclass=_Compiled):
        """Stands for the class of compiled modules in `isinstance`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []  # so that its parts can be imported

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks for these
            raise AttributeError(name)
        return getattr(load_compiler(), name)

    @staticmethod
    def graph_break(msg: str = "") -> None:
        """Separates what is compiled, of which there is nothing before the compiler is loaded."""
        if compiler := loaded_compiler():
            compiler.graph_break(msg)

    @staticmethod
    def disable(fn: Any = None, *settings: Any, **more: Any) -> Any:
        """`fn`; once the compiler is loaded, the real `disable` applies to it. Without `fn`, a decorator."""
        if fn is None:
            return lambda function: PostponedCompiler.disable(function, *settings, **more)
        if not isfunction(fn):
            return load_compiler().disable(fn, *settings, **more)
        disabled: list[Callable[..., Any]] = []

        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not disabled and (compiler := loaded_compiler()):
                disabled.append(compiler.disable(fn, *settings, **more))
            return (disabled[0] if disabled else fn)(*args, **kwargs)

        marked: Any = call
        marked._torchdynamo_disable = True  # the mark of the real `disable`: the compiler does not look into it
        return call


class _PartFinder(MetaPathFinder, Loader):
    """Loads the whole compiler when one of its parts is imported. Loading it imports its parts."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if not name.startswith(f"{NAME}."):
            return None
        load_compiler()
        if (part := sys.modules.get(name)) is None:
            return importlib.machinery.PathFinder.find_spec(name, sys.modules[NAME].__path__)
        self.spec = part.__spec__
        return ModuleSpec(name, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


finder = _PartFinder()


def loaded_compiler() -> Any:
    """The real `torch._dynamo`; None while it is not loaded, or only in part."""
    module = sys.modules.get(NAME)
    if isinstance(module, PostponedCompiler) or getattr(getattr(module, "__spec__", None), "_initializing", False):
        return None
    return module


def load_compiler() -> Any:
    """The real `torch._dynamo`."""
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
    if isinstance(sys.modules.get(NAME), PostponedCompiler):
        del sys.modules[NAME]
    return importlib.import_module(NAME)


def postpone_compiler() -> None:
    """Puts a module in the place of `torch._dynamo`, unless that is loaded."""
    if NAME not in sys.modules:
        sys.modules[NAME] = torch._dynamo = PostponedCompiler(NAME)
        sys.meta_path.insert(0, finder)
