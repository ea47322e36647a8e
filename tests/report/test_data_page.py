"""The page about data: one HTML file with all parts, in which the user's texts are escaped."""

import re
import time

import numpy as np

from datamodules.contents.facts import ColumnFacts, Contents, Guess, Histogram, Part, Sample
from lit_models.report.data_page import MOST_BARS, data_page


def page(contents: Contents) -> str:
    return data_page(contents, name="MyDataModule", command="data-check --data x", start=time.perf_counter())


def test_the_page_shows_counts_notes_charts_columns_and_samples() -> None:
    contents = Contents(
        unit="images",
        task="classification",
        names=("<b>lion</b>", "dog"),
        parts=(Part("train", 4, np.array([1, 3])), Part("test", 2, np.array([2]))),
        guess=Guess("dog", "acc", {"train": 0.75, "test": 0.0}),
        facts=(("height x width", "2 x 3"),),
        notes=("a note",),
        mistakes=("a mistake",),
        histograms=(Histogram("height in pixels", np.array([1, 3]), np.array([2, 3, 4]), 3, "limit", clipped=True),),
        columns=(ColumnFacts("age", "number", 7, "1 to 2"),),
        samples=(Sample("dog", "b.png", pixels=np.zeros((2, 3), np.uint8)), Sample("cat", "a.csv:2", "<i>text")),
    )
    html = page(contents)
    assert "<b>lion</b>" not in html
    assert "&lt;b&gt;lion&lt;/b&gt;</td><td>1 (25.0 %)</td><td>2 (100.0 %)</td>" in html
    assert "dog</td><td>3 (75.0 %)</td><td>0 (0.0 %)</td>" in html
    assert "<b>0.0000</b>test acc of always answering dog" in html
    assert '<p class="note mistake"><b>mistake:</b> a mistake</p>' in html
    assert '<p class="note">a note</p>' in html
    assert "<td>age</td><td>number</td><td>7</td><td>1 to 2</td>" in html
    assert "The last bar also has all larger numbers." in html
    assert '<img src="data:image/png;base64,' in html
    assert "&lt;i&gt;text" in html
    assert html.index("a.csv:2") < html.index("b.png")  # sorted by label
    assert re.findall(r'aria-label="([^"]+)"', html) == ["share of each class", "height in pixels"]
    assert not re.search(r"<script|https?://(?!www\.w3\.org)", html)


def test_of_many_classes_the_most_frequent_ones_are_drawn() -> None:
    names = tuple(f"c{i}" for i in range(MOST_BARS + 5))
    html = page(Contents(task="classification", names=names, parts=(Part("train", 999, np.arange(len(names))),)))
    assert f"The {MOST_BARS} most frequent ones." in html
    assert ">c5</text>" in html
    assert ">c4</text>" not in html


def test_data_of_which_only_the_rows_are_known_have_a_page() -> None:
    html = page(Contents(parts=(Part("train", 500),)))
    assert "<b>500</b>train samples" in html
    assert "<svg" not in html
