"""What the numbers of a run depend on besides its settings: versions, threads and device."""

from collections.abc import Mapping
from typing import Any

import torch

from lit_models.runs import results


def environment(device: torch.device) -> dict[str, Any]:
    """Plain values that a checkpoint and `results.json` keep: "versions", "threads" (of one process) and "device"."""
    return {
        "versions": results.versions(),
        "threads": torch.get_num_threads(),
        "device": results.device_name(device),
    }


def differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is different, in words such as "torch 2.10.0, now 2.11.0" or "2 threads, now 1". A part that was not stored
    is not compared; another order of the same sums changes the last digits of a result.

    Args:
        stored: what a checkpoint keeps.
        now: of this process.
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
