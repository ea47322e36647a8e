"""Compares the outputs of an exported file with those of the model, value by value."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from datamodules.errors import UserError
from lit_models.export.source import Source, variations

PROBABILITY, OTHER = 1e-5, 1e-4
"""Largest differences that rounding explains: a float32 sum of some thousands of terms in another order differs by 1e-6
of its size, and a probability changes by at most a quarter of the change of its logit. The limit of other outputs is a
fraction of the largest one, or of 1 if all are smaller."""
Run = Callable[[dict[str, Tensor]], list[NDArray[Any]]]
"""Computes the outputs of the exported file for named inputs."""


class Difference(NamedTuple):
    """The largest difference of one output, and the limit."""

    largest: float
    limit: float

    @property
    def allowed(self) -> bool:
        """Whether rounding explains it; NaN is not allowed."""
        return self.largest <= self.limit


def compare(source: Source, run: Run, *, lengths: bool, shapes: bool, where: str) -> list[str]:
    """Compares the file's outputs with the model's, on the samples and on batches of other sizes.

    Args:
        source: the model and its samples.
        run: computes the file.
        lengths: also compare texts of other lengths.
        shapes: also compare other numbers of samples.
        where: what computes the file, such as "ONNX Runtime 1.20".

    Returns:
        Lines about the comparison.

    Raises:
        UserError: the outputs differ by more than rounding, or the file cannot compute a batch.
    """
    names = source.output_names()
    batches = [source.samples.tensors, *(variations(source.samples, lengths=lengths) if shapes else ())]
    worst: dict[str, Difference] = {}
    compared = 0
    for tensors in batches:
        expected = _outputs(source, tensors)
        if expected is None:  # the model itself does not take this size
            continue
        shape = tuple(next(iter(tensors.values())).shape)
        for name, difference in differences(names, expected, _run(run, tensors, shape, where)).items():
            if not difference.allowed:
                raise UserError(
                    f"the outputs of the file differ from the model's on inputs {shape} in {where}: {name} by "
                    f"{difference.largest:.2g} (allowed: {difference.limit:.0e}); nothing was written"
                )
            if name not in worst or difference.largest > worst[name].largest:
                worst[name] = difference
        compared += 1
    return _lines(source, worst, compared - 1, lengths=lengths, where=where)


def _lines(source: Source, worst: dict[str, Difference], others: int, *, lengths: bool, where: str) -> list[str]:
    """What was compared, and the largest differences."""
    sizes = " and lengths" if lengths else ""
    more = f" and {others} batches of other sizes{sizes}" if others else ""
    found = ", ".join(f"{name} {d.largest:.1e} (allowed: {d.limit:.0e})" for name, d in worst.items())
    notes = [] if source.samples.note is None else [source.samples.note]
    outputs = zip(source.output_names(), source.outputs(source.samples.tensors), strict=True)
    if nan := [name for name, output in outputs if output.is_floating_point() and output.isnan().any()]:
        notes.append(f"note: the model itself gives NaN for some samples: {', '.join(nan)}")
    compared = f"compared with the model on {source.samples.origin}{more}, in {where}"
    return [*notes, compared, f"largest differences: {found}"]


def _outputs(source: Source, tensors: dict[str, Tensor]) -> list[NDArray[Any]] | None:
    """The model's outputs; None if it does not take inputs of this size."""
    try:
        return [output.numpy() for output in source.outputs(tensors)]
    except (RuntimeError, IndexError, ValueError):
        return None


def _run(run: Run, tensors: dict[str, Tensor], shape: tuple[int, ...], where: str) -> list[NDArray[Any]]:
    try:
        return run(tensors)
    except Exception as error:  # each runtime has its own errors
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"the file does not take inputs {shape} in {where}: {reason}; nothing was written") from error


def differences(names: list[str], expected: list[NDArray[Any]], found: list[NDArray[Any]]) -> dict[str, Difference]:
    """The largest difference of each output. Another shape, and NaN in one of them only, is an infinite difference."""
    result = {}
    for name, wanted, given in zip(names, expected, found, strict=True):
        limit = PROBABILITY if name == "probabilities" else OTHER * max(1.0, float(np.abs(wanted).max(initial=0)))
        result[name] = Difference(_largest(wanted, given), limit)
    return result


def _largest(wanted: NDArray[Any], given: NDArray[Any]) -> float:
    if wanted.shape != given.shape or (np.isnan(wanted) != np.isnan(given)).any():
        return float("inf")
    apart = np.abs(wanted.astype(np.float64) - given.astype(np.float64))
    return float(np.nanmax(np.where(wanted == given, 0.0, apart), initial=0.0))
