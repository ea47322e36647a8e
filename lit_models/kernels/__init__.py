"""Hand-written fast paths. Each computes the same numbers as the PyTorch layer that it replaces.

A fast path runs where it applies. `choose("plain")` switches all of them off. `used` lists those that have run, and the
reasons why calls used PyTorch's layers instead.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

Choice = Literal["auto", "plain"]

INHERITED = "LIT_MODELS_KERNELS"
"""Environment variable that passes the choice on to child processes."""
_choice: Choice = "plain" if os.environ.get(INHERITED) == "plain" else "auto"
_fast: set[str] = set()
_plain: dict[str, set[str]] = {}


def choose(choice: Choice) -> None:
    """Chooses between the fast paths and PyTorch's layers from now on, and resets `used`.

    Args:
        choice: "auto" uses a fast path where it applies; "plain" uses PyTorch's layers only.
    """
    global _choice
    if choice not in get_args(Choice):
        raise ValueError(f'kernels must be "auto" or "plain", got {choice!r}')
    _choice = choice
    os.environ[INHERITED] = choice
    _fast.clear()
    _plain.clear()


def chosen() -> Choice:
    """The current choice; "auto" by default."""
    return _choice


@contextmanager
def plain() -> Iterator[None]:
    """PyTorch's layers only, inside the block. `used` does not list their calls."""
    global _choice
    before, fast, reasons = _choice, set(_fast), {name: set(texts) for name, texts in _plain.items()}
    _choice = "plain"
    try:
        yield
    finally:
        _choice = before
        _fast.clear()
        _fast.update(fast)
        _plain.clear()
        _plain.update(reasons)


def used() -> dict[str, Any]:
    """What has run in this process since the last `choose`. `fast` lists the layers that used their fast path; `plain`
    maps other layers to the reasons why they used PyTorch's code."""
    return {"fast": sorted(_fast), "plain": {name: sorted(reasons) for name, reasons in sorted(_plain.items())}}


def record(name: str, reason: str | None) -> None:
    """Records a call of a layer: on its fast path, or without it for a `reason`."""
    if reason is None:
        _fast.add(name)
    else:
        _plain.setdefault(name, set()).add(reason)
