"""The page: its numbers, its texts, and that it is one file that loads nothing."""

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest

from lit_models.report import charts
from lit_models.report.comparison import comparison
from lit_models.report.evaluation import Evaluation
from lit_models.report.measures import by_class
from lit_models.report.page import page
from lit_models.report.record import Curves, Record
from tests.report.samples import HOSTILE, classes, labels, numbers, with_mistakes

RESULTS = {
    "command": "fit",
    "arguments": ["fit", "--config", HOSTILE],
    "model": HOSTILE,
    "data": HOSTILE,
    "metrics": {f"test/{HOSTILE}": 0.5, "test/acc": None},
    "epochs": 2,
    "steps": 10,
    "seconds": {"fit": 1.25},
    "versions": {"torch": HOSTILE},
    "parameters": 1234,
    "device": HOSTILE,
    "processes": 1,
    "threads": 2,
    "seed": 0,
}


def record(evaluation: Evaluation | None, name: str = "runs/x/version_0", config: str = "model: a\n") -> Record:
    """A run with all kinds of content."""
    curves = Curves(HOSTILE, ((HOSTILE, [1.0, 2.0], [0.5, 0.25]), ("val", [1.0], [0.3])), "epoch")
    return Record(name, config, RESULTS, "2026-01-01", (curves,), evaluation, (HOSTILE,))


class Elements(HTMLParser):
    """The elements of a page and its visible texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


NAMES = (HOSTILE, "$x_", "ünï 猫")
PAGES = ("classes", "labels", "numbers", "nothing", "comparison")


@cache
def built(name: str) -> str:
    """One of the pages, in which every text is hostile."""
    hostile = record(with_mistakes(classes(NAMES)), HOSTILE, f"model: {HOSTILE}\n")
    if name == "comparison":
        return comparison([hostile, record(classes(NAMES), "b", HOSTILE)])
    evaluations = {
        "classes": hostile.evaluation,
        "labels": with_mistakes(labels((HOSTILE, "$x_"))),
        "numbers": with_mistakes(numbers((HOSTILE, "b"))),
        "nothing": None,
    }
    return page(replace(hostile, evaluation=evaluations[name]))


@pytest.mark.parametrize("name", PAGES)
def test_texts_of_others_are_shown_and_do_nothing(name: str) -> None:
    elements = Elements(built(name))
    assert not [tag for tag, _ in elements.tags if tag in ("script", "iframe", "object", "embed", "link", "base")]
    assert not [key for _, attributes in elements.tags for key in attributes if key.startswith("on")]
    assert HOSTILE in "".join(elements.texts)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_nothing(name: str) -> None:
    for tag, attributes in Elements(built(name)).tags:
        for key in ("src", "href", "xlink:href", "action", "data", "srcset"):
            value = attributes.get(key) or "#"
            assert value.startswith(("#", "data:image/png;base64,")), (tag, key, value[:80])
    assert not re.search(r"url\((?!#)|@import|@font-face", built(name))
    assert "default-src 'none'" in built(name)  # a browser refuses what a mistake here would load


@pytest.mark.parametrize("name", PAGES)
def test_every_reference_inside_a_page_has_its_target_once(name: str) -> None:
    elements = Elements(built(name))
    ids = [attributes["id"] for _, attributes in elements.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = re.findall(r"url\(#([^)]+)\)", built(name))
    used += [str(a[k])[1:] for _, a in elements.tags for k in ("href", "xlink:href") if str(a.get(k)).startswith("#")]
    assert set(used) <= set(ids)
    assert used or name == "comparison"


def test_the_numbers_are_those_of_the_samples() -> None:
    evaluation = classes()
    text = page(record(evaluation))
    for row in by_class(evaluation):
        cells = "".join(f"<td>{value:.4f}</td>" for value in (row.precision, row.recall, row.f1, row.auroc))
        assert f"<tr><td>{row.name}</td>{cells}<td>{row.samples}</td></tr>" in text
    assert f"<b>{evaluation.correct.mean():.4f}</b>test accuracy" in text


def test_a_page_says_when_samples_are_left_out() -> None:
    text = " ".join(page(record(replace(classes(), total=70_000))).split())
    assert "70,000 samples were evaluated. The charts and tables below are of 60 of them" in text
    assert "are of all 60 evaluated samples" in page(record(classes()))


def test_predictions_that_are_not_finite_are_a_note() -> None:
    evaluation = classes()
    evaluation.predictions[0] = np.nan
    text = page(record(evaluation))
    assert "Some predictions are NaN or infinite" in text
    assert "Calibration" not in text


def test_a_page_fits_a_phone_a_dark_screen_and_paper() -> None:
    text = built("classes")
    assert '<meta name="viewport" content="width=device-width' in text
    assert "@media (prefers-color-scheme: dark)" in text
    assert "@media print" in text
    charts = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(charts) == 4  # a curve, the confusion matrix, ROC and calibration
    assert all("currentColor" in chart and "var(--series-0)" in chart for chart in charts)
    assert not [chart for chart in charts if "#010203" in chart or "#0a0b" in chart]


def test_the_words_that_moved_the_answer_are_marked() -> None:
    text = page(record(with_mistakes(classes(), ("fine", "dull"))))
    assert '<mark class="to" style="--a: 0.35">fine</mark>' in text  # 0.25 is half of the largest weight, times 0.7
    assert '<mark class="from" style="--a: 0.7">dull</mark>' in text
    assert "dull -0.500, fine +0.250" in text


def test_a_comparison_lists_what_differs() -> None:
    first, second = classes(), classes()
    flipped = first.worst()[0]
    second.predictions[flipped] = np.eye(3)[second.targets[flipped]]
    text = comparison(
        [record(first, "a", "lr: 1\nmodel: x\n"), record(second, "b", "lr: 2\nmodel: x\n"), record(None, "c", "lr: 1")]
    )
    assert "<tr><td>lr</td><td>1</td><td>2</td><td>1</td></tr>" in text
    assert f"<b>{1 / 60:+.4f}</b>accuracy of B minus that of A" in text
    names = [first.names[i] for i in (first.targets[flipped], first.predicted[flipped], first.targets[flipped])]
    cells = "".join(f"<td>{name}</td>" for name in names)
    assert f"<tr><td>{flipped}</td>{cells}<td>B</td></tr>" in text
    assert "A and C cannot be compared sample by sample: c kept no evaluated samples." in text


def test_names_that_begin_with_an_underscore_are_in_the_legend() -> None:
    assert "_a  " in charts.roc({"_a": (np.array([0.0, 1.0]), np.array([0.0, 1.0]), 0.5)})


def test_the_tiles_of_a_split_that_was_cut_say_so() -> None:
    text = page(record(replace(classes(), total=70_000)))
    assert "test accuracy, the first 60 of 70,000 samples</div>" in text


def test_metrics_that_are_not_numbers_are_left_out() -> None:
    results = {"metrics": {"a": "x", "b": [1], "c": 10**400, "d": True, "e": None, "f": 1, "g": 0.5}}
    assert replace(record(None), results=results).metrics == {"e": None, "f": 1, "g": 0.5}
