"""What a run leaves behind: `results.json`, and a short table at the end."""

import json
import math
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lit_models.runs.folder import new_file

PACKAGES = ("lit-models", "torch", "lightning", "torchvision", "torchmetrics", "transformers", "numpy")


def versions() -> dict[str, str]:
    """Version of Python and of each package that numbers depend on."""
    installed = {d.name: d.version for d in metadata.distributions() if d.name in PACKAGES}
    return {"python": platform.python_version(), **{name: installed[name] for name in PACKAGES if name in installed}}


def commit() -> str | None:
    """Commit of the git checkout that the program runs from, "+" where files have changed; None outside of one."""
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
    """The device in words, for people who compare results."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {os.cpu_count()} cores"


def write_results(folder: Path, name: str, content: dict[str, Any]) -> Path:
    """Writes a new JSON file whole or not at all; returns its path."""
    path = new_file(folder, name)
    part = path.with_suffix(".part")
    numbers = {name: value if math.isfinite(value) else None for name, value in content["metrics"].items()}
    text = json.dumps({**content, "metrics": numbers}, indent=2, allow_nan=False)  # JSON has no word for NaN
    part.write_text(text + "\n", encoding="utf-8")
    part.rename(path)
    return path


def table(metrics: dict[str, float]) -> str:
    """Metrics named `split/metric`, a row a split and a column a metric, for a screen or a log file."""
    splits = [s for s in ("train", "val", "test") if any(k.startswith(f"{s}/") for k in metrics)]
    columns = list(dict.fromkeys(k.split("/", 1)[1] for k in metrics if "/" in k))
    lines = [f"{'':5}" + "".join(f"{c:>10}" for c in columns)]
    for split in splits:
        cells = (metrics.get(f"{split}/{column}") for column in columns)
        lines.append(f"{split:5}" + "".join(f"{'-':>10}" if v is None else f"{v:>10.4f}" for v in cells))
    return "\n".join(lines)
