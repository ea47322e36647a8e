"""What a page knows about one run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lit_models.report.charts import Line
from lit_models.report.evaluation import Evaluation


@dataclass(frozen=True)
class Curves:
    """One metric over the training.

    Args:
        metric: its name without the split, such as "loss".
        lines: one line per split.
        x_label: "epoch" or "step".
    """

    metric: str
    lines: tuple[Line, ...]
    x_label: str


@dataclass(frozen=True)
class Record:
    """One run.

    Args:
        name: the run folder, such as `runs/digits_cnn/version_0`.
        config: its config, YAML.
        results: the content of `results.json` or `test.json`; empty if the run has none.
        finished: when the results were written, in words; empty if that is unknown.
        curves: the metrics over the training.
        evaluation: the evaluated samples; None if they are unknown.
        notes: what the page must say about the run.
        layers: of a network from a Keras file, the comparison of each layer with Keras.
    """

    name: str
    config: str
    results: Mapping[str, Any] = field(default_factory=dict)
    finished: str = ""
    curves: tuple[Curves, ...] = ()
    evaluation: Evaluation | None = None
    notes: tuple[str, ...] = ()
    layers: tuple[Mapping[str, Any], ...] = ()

    @property
    def metrics(self) -> dict[str, float | None]:
        """The final metrics by name. Values that are not numbers, in a damaged file, are left out."""
        values = self.results.get("metrics")
        if not isinstance(values, dict):
            return {}
        return {name: value for name, value in values.items() if value is None or is_number(value)}


def is_number(value: Any) -> bool:
    """Whether a value of a JSON file is a number that a float can hold; also NaN and infinity."""
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**1000)
