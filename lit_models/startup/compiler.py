"""Postpones the import of PyTorch's compiler, `torch._dynamo`, until something is compiled.

Importing the compiler takes as long as importing torch itself. torch and Lightning import it only to exclude functions
from compilation, which has no effect before anything is compiled. A placeholder module provides the three names that
they use. Any other name of the compiler, or an import of one of its modules, loads the real one. torchvision takes one
function of `torch._dynamo.utils`, so this module has a placeholder, too.
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
UTILS = f"{NAME}.utils"


class _Compiled(type):
    """Recognises the modules that the real compiler has compiled."""

    def __instancecheck__(cls, instance: object) -> bool:
        compiler = loaded_compiler()
        return compiler is not None and isinstance(instance, compiler.OptimizedModule)

    def __subclasscheck__(cls, subclass: type) -> bool:
        compiler = loaded_compiler()
        return compiler is not None and issubclass(subclass, compiler.OptimizedModule)


class PostponedCompiler(ModuleType):
    """The placeholder for `torch._dynamo`."""

    class OptimizedModule(metaclass=_Compiled):
        """The placeholder for the class of compiled modules, for `isinstance`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []  # so that its modules can be imported

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks for these
            raise AttributeError(name)
        return getattr(load_compiler(), name)

    @staticmethod
    def graph_break(msg: str = "") -> None:
        """Does nothing while the compiler is not loaded, because nothing is compiled then."""
        if compiler := loaded_compiler():
            compiler.graph_break(msg)

    @staticmethod
    def disable(fn: Any = None, *settings: Any, **more: Any) -> Any:
        """Excludes `fn` from compilation. Returns a function like `fn`, or a decorator if `fn` is not given."""
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
        marked._torchdynamo_disable = True  # the real `disable` sets this attribute, too
        return call


class PostponedUtils(ModuleType):
    """The placeholder for `torch._dynamo.utils`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(load_compiler().utils, name)

    @staticmethod
    def is_compile_supported(device_type: Any) -> Any:
        """Whether the compiler supports a device."""
        return load_compiler().utils.is_compile_supported(device_type)


class _PartFinder(MetaPathFinder, Loader):
    """Loads the real compiler when one of its modules is imported. The module `UTILS` is a placeholder at first."""

    spec: ModuleSpec | None

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if not name.startswith(f"{NAME}."):
            return None
        if name == UTILS:
            self.spec = ModuleSpec(name, self)
            return self.spec
        load_compiler()
        if (part := sys.modules.get(name)) is None:
            return importlib.machinery.PathFinder.find_spec(name, sys.modules[NAME].__path__)
        self.spec = part.__spec__
        return ModuleSpec(name, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return PostponedUtils(UTILS) if spec.name == UTILS else sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


finder = _PartFinder()


def loaded_compiler() -> Any:
    """The real `torch._dynamo`; None if it is not loaded, or not completely."""
    module = sys.modules.get(NAME)
    if isinstance(module, PostponedCompiler) or getattr(getattr(module, "__spec__", None), "_initializing", False):
        return None
    return module


def load_compiler() -> Any:
    """Loads the real `torch._dynamo`."""
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
    for name, placeholder in ((NAME, PostponedCompiler), (UTILS, PostponedUtils)):
        if isinstance(sys.modules.get(name), placeholder):
            del sys.modules[name]
    return importlib.import_module(NAME)


def postpone_compiler() -> None:
    """Registers the placeholder as `torch._dynamo`, unless the real one is loaded."""
    if NAME not in sys.modules:
        sys.modules[NAME] = torch._dynamo = PostponedCompiler(NAME)
        sys.meta_path.insert(0, finder)
