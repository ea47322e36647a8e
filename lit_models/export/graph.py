"""Traces a module as a graph of operations that takes any number of samples, and texts of any length."""

import io
import logging
import re
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from datamodules.errors import UserError
from lit_models.export.recurrent import whole_layers
from lit_models.export.source import Samples, Source, first_line, has_lengths

AXES = {0: "batch", 1: "length"}
"""The names of the dimensions that may have another size in each call."""
FIXED = "note: the file takes only inputs of the shape of the samples, {shapes}, because of: {reason}"
ONE_LENGTH = "note: the file takes any number of samples, but only {length} steps each, because of: {reason}"


class Graph(NamedTuple):
    """A traced module.

    Args:
        program: the graph, in which each recurrent layer is one operation.
        axes: names of the dimensions of each input that may have any size.
        notes: what the graph cannot do.
    """

    program: ExportedProgram
    axes: list[dict[int, str]]
    notes: list[str]

    @property
    def any_length(self) -> bool:
        """Whether texts may have any length."""
        return any(1 in axes for axes in self.axes)


def trace(source: Source) -> Graph:
    """The graph of a module.

    If the module cannot have any length or any number of samples, they are fixed, and a note says so.

    Raises:
        UserError: the module cannot be traced; the message has the reason and the line of code.
    """
    samples, computation = source.samples, source.computation()
    tensors = {name: at_least_two(tensor) for name, tensor in samples.tensors.items()}
    failures: list[Exception] = []
    for axes in _choices(samples):
        try:
            with quiet_torch(), torch.no_grad(), whole_layers():
                shapes = tuple(dict.fromkeys(each, Dim.DYNAMIC) for each in axes)
                program = torch.export.export(
                    computation, tuple(tensors.values()), dynamic_shapes=(shapes,), strict=False
                )
        except UserError:
            raise
        except Exception as error:  # torch raises many types
            failures.append(error)
            continue
        return Graph(program, axes, _notes(axes, failures, tensors))
    raise UserError(
        f"{source.name} cannot be traced as a graph: {reason_of(failures[-1])}{place_of(failures[-1])}"
    ) from failures[-1]


def at_least_two(tensor: Tensor) -> Tensor:
    """The samples, repeated if there is only one, because a size of 1 would be fixed in the graph. So is one step."""
    tensor = torch.cat([tensor, tensor]) if len(tensor) == 1 else tensor
    return torch.cat([tensor, tensor], dim=1) if has_lengths(tensor) and tensor.shape[1] == 1 else tensor


def _choices(samples: Samples) -> Iterator[list[dict[int, str]]]:
    """The dimensions that may have any size, the best choice first."""
    tensors = list(samples.tensors.values())
    if any(map(has_lengths, tensors)):
        yield [dict(AXES) if has_lengths(tensor) else {0: AXES[0]} for tensor in tensors]
    yield [{0: AXES[0]} for _ in tensors]
    yield [{} for _ in tensors]


def _notes(axes: list[dict[int, str]], failures: list[Exception], tensors: dict[str, Tensor]) -> list[str]:
    if not failures:
        return []
    reason = reason_of(failures[0]) + place_of(failures[0])
    if not any(axes):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors.values())
        return [FIXED.format(shapes=shapes, reason=reason)]
    return [ONE_LENGTH.format(length=next(iter(tensors.values())).shape[1], reason=reason)]


def reason_of(error: BaseException) -> str:
    """The reason of a failed export on one line, such as the operation."""
    deepest: BaseException = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    text = str(deepest)
    if operation := re.search(r"No ONNX function found for <OpOverload\(op='([^']+)'", text):
        return f"the operation {operation[1]} has no counterpart in ONNX"
    if violated := re.search(r"specialized it to be a constant \((\d+)\)", text):
        return f"its code works only for the size {violated[1]} of a dimension"
    if "data-dependent" in text:
        return "what its code does depends on the numbers in a tensor"
    return first_line(deepest)


def place_of(error: BaseException) -> str:
    """The last line of code of the module itself in the traceback of a failed trace; empty if it is not there."""
    here = Path(__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and "site-packages" not in path.parts and path.parent != here and "lib" not in path.parts:
            return f", at {path.name}:{frame.lineno}: {frame.line}"
    return ""


@contextmanager
def quiet_torch() -> Iterator[None]:
    """Hides the warnings, the log lines and the listings that torch prints about a module that is traced."""
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logger = logging.getLogger("torch")
        before = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(before)
