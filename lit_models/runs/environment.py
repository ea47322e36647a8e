"""The environment that the numbers of a run depend on: versions, threads and device."""

from collections.abc import Mapping
from typing import Any

import torch

from lit_models.runs import results


def environment(device: torch.device) -> dict[str, Any]:
    """The environment as plain values, for checkpoints and `results.json`: "versions", "threads" (of one process) and
    "device"."""
    return {
        "versions": results.versions(),
        "threads": torch.get_num_threads(),
        "device": results.device_name(device),
    }


def differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The differences in words, such as "torch 2.10.0, now 2.11.0" or "2 threads, now 1". A value that was not stored
    is not compared.

    Args:
        stored: environment in a checkpoint.
        now: environment of this process.
    """
    before, after = (part.get("versions") or {} for part in (stored, now))
    notes = [
        f"{name} {before[name]}, now {after.get(name, 'not installed')}"
        for name in before
        if before[name] != after.get(name)
    ]
    if stored.get("threads") not in (None, now["threads"]):
        notes.append(f"{stored['threads']} threads, now {now['threads']}")
    if stored.get("device") not in (None, now["device"]):
        notes.append(f"{stored['device']}, now {now['device']}")
    return notes
