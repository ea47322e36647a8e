"""Writes `results.json`, with metrics, a hash of the weights, versions, commit and device."""

import contextlib
import functools
import hashlib
import json
import math
import os
import platform
import subprocess
import textwrap
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from lit_models.runs.durable import replaced
from lit_models.runs.new_files import new_file

PACKAGES = ("lit-models", "torch", "lightning", "torchvision", "torchmetrics", "transformers", "numpy", "numba")


@functools.cache  # every checkpoint contains them, and reading them takes longer than saving a small checkpoint
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers depend on."""
    versions_by_name = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions_by_name[name] = metadata.version(name)
    return versions_by_name


def commit() -> str | None:
    """Commit of the git checkout that the program runs from, with "+" if files are changed; None without a checkout."""
    here = Path(__file__).parents[2]
    if not (here / ".git").exists():
        return None
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout
        changed = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip() + ("+" if changed.stdout.strip() else "")


def device_name(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {os.cpu_count()} cores"


def weights_sha256(state_dict: Mapping[str, Any]) -> str:
    """SHA-256 over name, dtype, shape and bytes of every weight, in order. Equal weights have equal hashes on every
    device; files with equal weights may differ."""
    digest = hashlib.sha256()
    for name, value in state_dict.items():
        if not isinstance(value, torch.Tensor) or is_lazy(value):
            digest.update(f"{name} {type(value).__name__}\n".encode())
            continue
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def write_results(folder: Path, name: str, content: dict[str, Any]) -> Path:
    """Writes a new JSON file atomically; returns its path."""
    path = new_file(folder, name)
    numbers = {name: value if math.isfinite(value) else None for name, value in content["metrics"].items()}
    text = json.dumps({**content, "metrics": numbers}, indent=2, allow_nan=False)  # JSON has no NaN
    with replaced(path) as part:
        part.write_text(text + "\n", encoding="utf-8")
    return path


def about(content: dict[str, Any]) -> str:
    """The model, times, seed and device of some results, in lines of 80 columns."""
    times = (f"{word} {value:.1f} s" for word, value in content["seconds"].items())
    parts = [f"{content['model']}, {content['parameters']:,} parameters", ", ".join(times), f"seed {content['seed']}"]
    return textwrap.fill("; ".join([*parts, content["device"]]), 80)
