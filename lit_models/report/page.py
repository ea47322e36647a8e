"""The page of one run: numbers, charts and mistakes, put into the template."""

import base64
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.contents.facts import percent
from lit_models.report import charts, facts, measures
from lit_models.report.evaluation import MOST_SAMPLES, Array, Evaluation, Mistake
from lit_models.report.record import Curves, Record

GENERATOR = "lit-models report"
"""The content of the page's `generator`, by which a page of this program is known."""
MOST_CHARTS = 12
MOST_ROC = 10
MOST_CLASSES = 60
"""Classes of a confusion matrix that is drawn."""
MOST_WORDS = 400
"""Words of a text that are shown, around those that moved the answer."""
SPLITS = {"test": "test", "val": "validation"}


def page(record: Record, *, start: float | None = None) -> str:
    """The HTML of one run.

    Args:
        record: the run.
        start: `time.perf_counter()` when the work for the page began, to state its cost.
    """
    start = time.perf_counter() if start is None else start
    sections = _sections(record.evaluation) if record.evaluation else {}
    shown, left_out = record.curves[:MOST_CHARTS], record.curves[MOST_CHARTS:]
    content = {
        "title": record.name,
        "facts": facts.facts(record),
        "config": record.config,
        "notes": record.notes,
        "metrics": metric_rows([record]),
        "layers": record.layers,
        "curves": [curve_chart(f"curve{i}", curves) for i, curves in enumerate(shown)],
        "curves_left_out": [curves.metric for curves in left_out],
        "evaluation": record.evaluation,
        "split": SPLITS.get(record.evaluation.split, "") if record.evaluation else "",
        "limit": MOST_SAMPLES,
        **sections,
    }
    return render("report.html.j2", content | {"seconds": time.perf_counter() - start})


def render(template: str, content: dict[str, Any]) -> str:
    """Fills a template. All texts are escaped. Charts are not, because matplotlib has escaped the texts in them."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "percent": percent, "difference": difference}
    style = (folder / "style.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(content, style=style, generator=GENERATOR)


def number(value: Any) -> str:
    """A number with four places, or with four digits if it is large or small; "-" for none."""
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e3 else f"{value:.4g}"


def difference(value: Any) -> str:
    """A difference with two digits; "-" for none."""
    return f"{value:.1e}" if isinstance(value, float) else "-"


def metric_rows(records: Sequence[Record]) -> list[tuple[str, list[float | None]]]:
    """The final metrics: a row per name, with the value of each run."""
    names = dict.fromkeys(name for record in records for name in record.metrics)
    return [(name, [record.metrics.get(name) for record in records]) for name in names]


def curve_chart(name: str, curves: Curves) -> str:
    """The chart of one metric."""
    return charts.curves(name, curves.metric, curves.lines, x_label=curves.x_label)


def _sections(evaluation: Evaluation) -> dict[str, Any]:
    """What the page says about the evaluated samples."""
    finite = bool(np.isfinite(evaluation.predictions).all())
    content: dict[str, Any] = {
        "finite": finite,
        "headline": [],
        "by_class": [],
        "confusion": None,
        "roc": None,
        "calibration": None,
        "regression": [],
        "surface": None,
        "mistakes": [],
    }
    if not finite or not len(evaluation.targets):
        return content
    content["headline"] = measures.headline(evaluation)
    if evaluation.task == "regression":
        content["regression"] = _regression(evaluation)
    else:
        content |= _classes(evaluation)
    content["mistakes"] = [_mistake(evaluation, i, mistake) for i, mistake in enumerate(evaluation.mistakes)]
    if evaluation.surface is not None:
        classes = evaluation.task == "classification"
        content["surface"] = charts.surface(evaluation.surface, classes=classes)
    return content


def _classes(evaluation: Evaluation) -> dict[str, Any]:
    content: dict[str, Any] = {"by_class": measures.by_class(evaluation)}
    if evaluation.task == "classification":
        matrix = measures.confusion(evaluation)
        if len(evaluation.names) <= MOST_CLASSES:
            content["confusion"] = charts.confusion(matrix, evaluation.names)
        content["confused"] = _confused(matrix, evaluation.names)
    curves = measures.roc_curves(evaluation)
    if len(evaluation.names) == 2 and evaluation.task == "classification":
        curves = {i: curve for i, curve in curves.items() if i == 1}  # the other curve is its mirror image
    worst = sorted(curves, key=lambda i: curves[i][2])[:MOST_ROC]
    content["roc"] = charts.roc({evaluation.names[i]: curves[i] for i in sorted(worst)})
    content["roc_left_out"] = len(curves) - len(worst)
    calibrated = measures.calibration(evaluation)
    content["ece"], content["bins"] = calibrated.error, measures.BINS
    content["calibration"] = charts.calibration(calibrated.probability, calibrated.frequency, calibrated.counts)
    return content


def _confused(matrix: Array, names: Sequence[str]) -> list[tuple[str, str, int]]:
    """The ten pairs of a true and a predicted class that are confused most."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:10]
    pairs = [np.unravel_index(i, wrong.shape) for i in order]
    return [(names[row], names[column], int(wrong[row, column])) for row, column in pairs if wrong[row, column]]


def _regression(evaluation: Evaluation) -> list[dict[str, Any]]:
    rows = measures.of_numbers(evaluation)
    for i, row in enumerate(rows[:MOST_CHARTS]):
        true, predicted = evaluation.targets[:, i], evaluation.predictions[:, i]
        row["chart"] = charts.regression(f"regression{i}", row["name"], true, predicted)
    return rows


def _mistake(evaluation: Evaluation, number_in_list: int, mistake: Mistake) -> dict[str, Any]:
    """One mistake for the template."""
    place = int(np.flatnonzero(evaluation.indices == mistake.index)[0])
    pictures = evaluation.pictures
    return {
        "index": mistake.index,
        "true": described(evaluation, evaluation.targets[place]),
        "predicted": described(evaluation, evaluation.predicted[place]),
        "confidence": float(evaluation.confidence[place]),
        "picture": None if pictures is None else picture(pictures[number_in_list]),
        "words": _words(mistake),
        "strongest": _strongest(mistake),
    }


def described(evaluation: Evaluation, answer: Any) -> str:
    """A target or a prediction in words."""
    names = evaluation.names
    if evaluation.task == "classification":
        return names[int(answer)]
    if evaluation.task == "multilabel":
        return ", ".join(name for name, has in zip(names, answer, strict=True) if has) or "no label"
    values = [f"{value:.6g}" for value in answer]
    return values[0] if len(values) == 1 else ", ".join(f"{n} {v}" for n, v in zip(names, values, strict=True))


def picture(pixels: Array) -> str:
    """A picture as a data URI, uint8 `(H, W)` or `(H, W, 3)`."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _words(mistake: Mistake) -> list[dict[str, Any]]:
    """The words of a text, each with the strength of its colour, 0 to 1, and its direction."""
    weights = mistake.weights or (0.0,) * len(mistake.words)
    largest = max((abs(weight) for weight in weights), default=0.0) or 1.0
    words = [
        {"text": word, "strength": round(abs(weight) / largest, 2), "towards": weight > 0}
        for word, weight in zip(mistake.words, weights, strict=True)
    ]
    return (
        words
        if len(words) <= MOST_WORDS
        else [*words[:1], {"text": "…", "strength": 0, "towards": True}, *words[1 - MOST_WORDS :]]
    )


def _strongest(mistake: Mistake) -> list[tuple[str, float]]:
    """The words that moved the answer most, at most five."""
    pairs = [(word, weight) for word, weight in zip(mistake.words, mistake.weights, strict=False) if weight]
    return sorted(pairs, key=lambda pair: -abs(pair[1]))[:5]
