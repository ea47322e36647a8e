"""Hand-written fast paths. Each computes the same numbers as the PyTorch layer that it replaces.

A fast path runs where it applies. `choose("plain")` switches all of them off. `used` names those that have run, and
says why a call went to PyTorch's layer instead.
"""

import os
from typing import Any, Literal, get_args

Choice = Literal["auto", "plain"]

INHERITED = "LIT_MODELS_KERNELS"
"""Environment variable by which processes that this one starts get its choice."""
_choice: Choice = "plain" if os.environ.get(INHERITED) == "plain" else "auto"
_fast: set[str] = set()
_plain: dict[str, set[str]] = {}


def choose(choice: Choice) -> None:
    """Sets which code computes from now on, and forgets what `used` has counted.

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
    """What `choose` has set; "auto" at first."""
    return _choice


def used() -> dict[str, Any]:
    """What has run in this process since the last `choose`, in plain values: `fast` is a list of the layers that have
    used their fast path, `plain` maps a layer to the reasons why it used PyTorch's."""
    return {"fast": sorted(_fast), "plain": {name: sorted(reasons) for name, reasons in sorted(_plain.items())}}


def record(name: str, reason: str | None) -> None:
    """Notes a call of a layer: on its fast path, or, with a reason, without it."""
    if reason is None:
        _fast.add(name)
    else:
        _plain.setdefault(name, set()).add(reason)
