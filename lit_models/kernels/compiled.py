"""Compiles a time loop with Numba when a layer first needs it, and keeps the machine code on disk.

The code is kept in `kernels` in the user's cache folder, or in `NUMBA_CACHE_DIR`. Machine code is never read from a
folder that others can write to, such as a shared data cache. If a file cannot be read or written, the process compiles
the code again without keeping it. Without Numba, or if the compilation fails, PyTorch's layers are used.
"""

import hashlib
import importlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

LANES = 16
"""Numbers in a vector. Rows in the memory of a loop are padded to a multiple of this."""
SLICE = 24
"""Maximum number of samples per call of a loop. Their states fit into the L1 cache, and fill tiles of 6 rows."""


class Loops(NamedTuple):
    """The loops of a layer.

    Args:
        file: name of the module in the folder `loops`.
        arguments: maps the names of the loops, which end with "forward" or "backward", to the classes of their
            arguments.
    """

    file: str
    arguments: dict[str, str]


LOOPS = {
    "RNN_TANH": Loops("recurrence", {"rnn_forward": "Forward", "rnn_backward": "Backward"}),
    "GRU": Loops("recurrence", {"gru_forward": "Forward", "gru_backward": "Backward"}),
    "LSTM": Loops("recurrence", {"lstm_forward": "Forward", "lstm_backward": "Backward"}),
    "CONVOLUTION": Loops("convolution", {"convolution_forward": "Forward", "convolution_backward": "Backward"}),
    "EMBEDDING": Loops("embedding", {"embedding_backward": "Backward"}),
}
"""Mode of `nn.RNNBase`, or another layer -> its loops."""


def missing(*arguments: Any) -> None:
    """Stands for a loop that could not be compiled. It is never called, because the layers check `problem` first."""
    raise AssertionError("this loop could not be compiled")


class TimeLoop(NamedTuple):
    """The compiled passes of one kind of layer and the classes of their arguments, or why there are none."""

    forward: Callable[..., None] = missing
    backward: Callable[..., None] = missing
    forward_arguments: Any = None
    backward_arguments: Any = None
    problem: str | None = None


@cache
def time_loop(mode: str) -> TimeLoop:
    """Compiles a time loop or reads it from disk. If this fails, prints a message, because the layer is then slower.

    Args:
        mode: a key of `LOOPS`.
    """
    try:
        loops = importlib.import_module(f"lit_models.kernels.loops.{LOOPS[mode].file}")
        try:
            return compiled(mode, loops, cache_folder())
        except Exception:  # a damaged file, a full disk, or a failed compilation: try it without the files
            return compiled(mode, importlib.reload(loops), None)
    except Exception as error:  # Numba and LLVM raise all kinds, and the layer works without them
        cause = str(error).partition("\n")[0]
        problem = f"its loop cannot be compiled ({type(error).__name__}: {cause})"
        print(f"The fast path of a layer is off: {problem}", file=sys.stderr)
        return TimeLoop(problem=problem)


def compiled(mode: str, loops: Any, folder: Path | None) -> TimeLoop:
    """Compiles the passes of a layer. The machine code is kept in `folder`, if there is one."""
    config: Any = importlib.import_module("numba.core.config")
    types: Any = importlib.import_module("numba.core.types")
    passes: dict[str, Any] = {}
    kept = folder is not None and all(any(folder.rglob(f"*{name}-*.nbi")) for name in LOOPS[mode].arguments)
    if not kept and sys.stderr.isatty():
        print(f"compiling the loops of {mode} for this machine: some seconds, once", file=sys.stderr)
    for name, class_name in LOOPS[mode].arguments.items():
        function, arguments = getattr(loops, name), getattr(loops, class_name)
        if folder is not None:
            before = config.CACHE_DIR
            config.CACHE_DIR = str(folder)
            try:
                function.enable_caching()
            finally:
                config.CACHE_DIR = before
        integer = types.int64
        numbers = types.NamedUniTuple(integer, len(arguments._fields), arguments)
        function.compile(types.void(types.Array(integer, 2, "C"), numbers, integer))
        kind = name.rpartition("_")[2]  # forward or backward
        passes |= {kind: function, f"{kind}_arguments": arguments}
    return TimeLoop(**passes)


def cache_folder() -> Path | None:
    """The folder for the machine code of these sources; None if it cannot be written, or others can write to it.

    Numba compares the source of one file only, so the folder's name depends on all of them.
    """
    files = [Path(__file__), *sorted((Path(__file__).parent / "loops").glob("*.py"))]
    sources = [file.read_bytes() for file in files]
    digest = hashlib.sha256(b"".join(sources)).hexdigest()[:16]
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    folder = (Path(chosen) if chosen else platformdirs.user_cache_path("lit-models") / "kernels") / digest
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder if os.access(folder, os.W_OK) and is_private(folder) else None
    except OSError:
        return None


def is_private(folder: Path) -> bool:
    """Whether nobody but this user can write to a folder. Windows keeps the user's folders private itself."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022
