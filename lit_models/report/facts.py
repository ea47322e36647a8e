"""What was run, as rows of a name and a text: command, seed, data, versions, time and device."""

import shlex
from collections.abc import Mapping
from typing import Any

from lit_models.report.record import Record

PROGRAM = "python -m lit_models"
SINGULAR = {"processes": "process", "threads": "thread"}


def facts(record: Record) -> list[tuple[str, str]]:
    """The rows. A fact that is unknown has no row."""
    results = record.results
    program, words = results.get("program", PROGRAM), results.get("arguments")
    model, parameters = results.get("model"), results.get("parameters")
    rows = [
        ("command", f"{program} {shlex.join(map(str, words))}" if isinstance(words, list) else ""),
        ("finished", record.finished),
        ("model", f"{model}, {parameters:,} trainable parameters" if isinstance(parameters, int) else _text(model)),
        ("data", _text(results.get("data"))),
        ("seed", _text(results.get("seed"))),
        ("trained", _trained(results)),
        ("tested weights", _text(results.get("test_weights"))),
        ("time", _joined(results.get("seconds"), "{name} {value:,.1f} s")),
        ("device", _device(results)),
        ("precision", _text(results.get("precision"))),
        ("kernels", _kernels(results.get("kernels"))),
        ("versions", _joined(results.get("versions"), "{name} {value}")),
        ("commit", _text(results.get("commit"))),
        ("weights", _text(results.get("weights_sha256"))),
        ("data checksums", _joined(results.get("data_sha256"), "{name} {value}", separator="\n")),
    ]
    return [(name, text) for name, text in rows if text]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _trained(results: Mapping[str, Any]) -> str:
    epochs, steps = results.get("epochs"), results.get("steps")
    if not isinstance(epochs, int) or not isinstance(steps, int) or results.get("command") != "fit":
        return ""
    return f"{epochs:,} epochs, {steps:,} steps"


def _device(results: Mapping[str, Any]) -> str:
    parts = [_text(results.get("device"))]
    for name in SINGULAR:
        count = results.get(name)
        if isinstance(count, int):
            parts.append(f"{count} {SINGULAR[name] if count == 1 else name}")
    return ", ".join(filter(None, parts))


def _kernels(value: Any) -> str:
    """The layers that used fast code, and those that used PyTorch's."""
    if not isinstance(value, dict):
        return ""
    return "; ".join(f"{name}: {', '.join(map(str, layers))}" for name, layers in value.items() if layers)


def _joined(values: Any, form: str, *, separator: str = ", ") -> str:
    if not isinstance(values, dict):
        return ""
    parts = []
    for name, value in values.items():
        try:
            parts.append(form.format(name=name, value=value))
        except (ValueError, TypeError):  # a file that was changed by hand
            parts.append(f"{name} {value}")
    return separator.join(parts)
