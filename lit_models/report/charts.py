"""The charts of a page, drawn by matplotlib as SVG that stands inside the HTML.

The charts take the colours and the font of the page: matplotlib draws with placeholder colours, which are replaced by
variables of the page's style. So one chart is readable on a light page, on a dark one, and in print.
"""

import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from datamodules.contents.facts import Histogram
from lit_models.report.evaluation import Array, Surface

TEXT, FAINT = "#010203", "#040506"
SERIES = tuple(f"#0a0b{i:02x}" for i in range(8))
"""Placeholders: the colour of text, of lines in the background, and of the series."""
STYLES = ("-", "--", ":", "-.")
MOST_POINTS = 400
"""Points of a line."""
MOST_CELLS = 20
"""Classes of a confusion matrix that has its numbers in it."""
TAG = re.compile(r"<[^>]+>")
METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
GROUP_ID = re.compile(r' id="[A-Za-z0-9.]+_\d+"')
"""Ids of groups, which nothing refers to."""
ID = re.compile(r'\b(id="|url\(#|href="#)')
SERIES_COLOUR = re.compile(r"#0a0b([0-9a-f]{2})")
Line = tuple[str, Sequence[float], Sequence[float]]
"""Name, x and y of a line."""


@contextmanager
def _drawing() -> Iterator[None]:
    """Sets matplotlib's settings for a chart, and hides its messages about fonts: the page has its own."""
    import matplotlib as mpl

    settings: Any = {
        "svg.fonttype": "none",
        "svg.image_inline": True,
        "text.parse_math": False,  # a name such as $x$ is not a formula
        "font.family": "DejaVu Sans",  # comes with matplotlib, so that no system font is looked for
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.formatter.useoffset": False,
        "legend.frameon": False,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "grid.color": FAINT,
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.6,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), TEXT),
    }
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with mpl.rc_context(settings), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a letter that DejaVu Sans does not have
            yield
    finally:
        logger.setLevel(level)


def _svg(figure: Any, name: str, title: str) -> str:
    """The figure as an `<svg>` element. Its ids begin with `name`, because all charts of a page share their names."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = METADATA.sub("", text[text.index("<svg") :])
    text = TAG.sub(lambda tag: _themed(tag[0], name), text)  # texts between the tags are the user's
    return text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)


def _themed(tag: str, name: str) -> str:
    """A tag with the page's colours, and with ids of this chart."""
    tag = ID.sub(rf"\g<1>{name}-", GROUP_ID.sub("", tag))
    tag = tag.replace(TEXT, "currentColor").replace(FAINT, "var(--faint)")
    return SERIES_COLOUR.sub(lambda found: f"var(--series-{int(found[1], 16)})", tag)


def _axes(width: float, height: float, rows: int = 1, columns: int = 1, **settings: Any) -> tuple[Any, Any]:
    """A figure in inches, and its axes in an array `(rows, columns)`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **settings)


def _label(text: str) -> str:
    """The text of a legend. matplotlib hides texts that begin with an underscore, so a zero-width space comes first."""
    return f"\u200b{text}" if text.startswith("_") else text


def _legend(axes: Any, count: int) -> None:
    """A legend, beside the axes if it is long."""
    if count > 4:
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    elif count > 1:
        axes.legend(fontsize=8)


def thinned(line: Line) -> Line:
    """A line of at most `MOST_POINTS` points, evenly chosen, the first and the last among them."""
    name, x, y = line
    if len(x) <= MOST_POINTS:
        return line
    kept = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int))
    return name, [x[i] for i in kept], [y[i] for i in kept]


def curves(name: str, title: str, lines: Sequence[Line], *, x_label: str) -> str:
    """Lines over epochs or steps."""
    from matplotlib.ticker import MaxNLocator

    with _drawing():
        figure, grid = _axes(5, 3)
        axes = grid[0, 0]
        for i, line in enumerate(map(thinned, lines)):
            marker = "o" if len(line[1]) <= 40 else ""
            style = STYLES[i // len(SERIES) % len(STYLES)]
            axes.plot(
                line[1],
                line[2],
                style,
                color=SERIES[i % len(SERIES)],
                marker=marker,
                markersize=3,
                label=_label(line[0]),
            )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        only = lines[0][0] if len(lines) == 1 else title
        axes.set(xlabel=x_label, title=title if only == title else f"{title} ({only})")
        axes.grid(axis="y")
        _legend(axes, len(lines))
        return _svg(figure, name, "learning curves")


def confusion(matrix: Array, names: Sequence[str]) -> str:
    """The confusion matrix. A cell is as dark as its share of the true class."""
    size = len(names)
    with _drawing():
        side = min(7.5, 1.6 + 0.42 * size)
        figure, grid = _axes(side, side)
        axes = grid[0, 0]
        shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        for row, column in np.argwhere(matrix > 0):
            colour = SERIES[0] if row == column else SERIES[1]
            share = float(shares[row, column])
            axes.add_patch(_square(column, row, colour, 0.08 + 0.72 * share))
            if size <= MOST_CELLS:
                axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", fontsize=8)
        shown = [name if len(name) <= 16 else f"{name[:15]}…" for name in names]
        every = max(1, -(-size // 40))
        ticks = range(0, size, every)
        long = max(map(len, shown)) > 2
        axes.set_xticks(ticks, [shown[i] for i in ticks], rotation=90 if long else 0, fontsize=8)
        axes.set_yticks(ticks, [shown[i] for i in ticks], fontsize=8)
        axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal", xlabel="predicted", ylabel="true")
        axes.tick_params(length=0)
        return _svg(figure, "confusion", "confusion matrix")


def _square(x: float, y: float, colour: str, alpha: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, facecolor=colour, alpha=alpha, edgecolor="none")


def roc(lines: Mapping[str, tuple[Array, Array, float]]) -> str:
    """ROC curves, with the area under each."""
    with _drawing():
        figure, grid = _axes(4.6, 3.6)
        axes = grid[0, 0]
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
        for i, (name, (false, true, area)) in enumerate(lines.items()):
            _, x, y = thinned((name, false.tolist(), true.tolist()))
            style = STYLES[i // len(SERIES) % len(STYLES)]
            short = name if len(name) <= 20 else f"{name[:19]}…"
            axes.plot(x, y, style, color=SERIES[i % len(SERIES)], label=_label(f"{short}  {area:.4f}"))
        axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        if lines:
            axes.legend(fontsize=8, loc="lower right", title="area under the curve", title_fontsize=8)
        return _svg(figure, "roc", "ROC curves")


def class_bars(names: Sequence[str], shares: Mapping[str, Array]) -> str:
    """The share of each class in each part, as horizontal bars.

    Args:
        names: the classes, at most some dozens.
        shares: for each part, a fraction for each class, float `(C,)`.
    """
    with _drawing():
        figure, grid = _axes(6.4, min(12.0, 1.2 + (0.1 + 0.14 * len(shares)) * len(names)))
        axes = grid[0, 0]
        height = 0.8 / max(1, len(shares))
        for i, (part, values) in enumerate(shares.items()):
            places = np.arange(len(names)) + (i - (len(shares) - 1) / 2) * height
            axes.barh(places, 100 * values, height, color=SERIES[i % len(SERIES)], alpha=0.75, label=_label(part))
        axes.set_yticks(range(len(names)), [name if len(name) <= 24 else f"{name[:23]}…" for name in names])
        axes.set(ylim=(len(names) - 0.4, -0.6), xlabel="samples of the part, in %")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        if len(shares) > 1:
            axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
        return _svg(figure, "classes", "share of each class")


def counts(name: str, histogram: Histogram) -> str:
    """How often numbers occur, with a line at the limit."""
    with _drawing():
        figure, grid = _axes(6.4, 2.8)
        axes = grid[0, 0]
        axes.bar(
            histogram.edges[:-1], histogram.counts, np.diff(histogram.edges), align="edge", color=SERIES[0], alpha=0.6
        )
        if histogram.limit is not None:
            label = f"{histogram.limit_name} {histogram.limit:,.0f}"
            axes.axvline(histogram.limit, color=SERIES[1], linewidth=1.4, label=_label(label))
            axes.legend(fontsize=8)
        axes.set(xlabel=histogram.title, ylabel="samples")
        return _svg(figure, name, histogram.title)


def calibration(probability: Array, frequency: Array, counts: Array) -> str:
    """Frequency over probability, and below it the samples of each bin."""
    with _drawing():
        figure, grid = _axes(4.6, 4.2, rows=2, sharex=True, height_ratios=(3, 1))
        axes, below = grid[:, 0]
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
        axes.plot(probability, frequency, "o-", color=SERIES[0], markersize=4)
        axes.set(ylabel="fraction that is right", xlim=(0, 1), ylim=(-0.02, 1.04))
        edges = np.linspace(0, 1, len(counts) + 1)
        below.bar(edges[:-1], counts, width=1 / len(counts), align="edge", color=SERIES[0], alpha=0.6)
        below.set(xlabel="predicted probability", ylabel="samples", xlim=(0, 1))
        return _svg(figure, "calibration", "calibration")


def regression(name: str, target: str, true: Array, predicted: Array) -> str:
    """Predicted against true values, and the residuals. Of many samples, some are drawn, evenly chosen."""
    kept = np.unique(np.linspace(0, len(true) - 1, min(len(true), 1000)).round().astype(int))
    with _drawing():
        figure, grid = _axes(7.2, 3.2, columns=2)
        left, right = grid[0]
        low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
        left.plot([low, high], [low, high], color=FAINT, linewidth=1)
        left.plot(true[kept], predicted[kept], "o", color=SERIES[0], markersize=3, alpha=0.6)
        left.set(xlabel=f"true {target[:30]}", ylabel="predicted")
        right.hist(predicted - true, bins=min(40, max(5, int(len(true) ** 0.5))), color=SERIES[0], alpha=0.6)
        right.axvline(0, color=TEXT, linewidth=0.8)
        right.set(xlabel="residual: predicted - true", ylabel="samples")
        return _svg(figure, name, "predicted and true values, and residuals")


def surface(surface: Surface, *, classes: bool) -> str:
    """The predictions over two features at several numbers of steps, with the samples. For two classes and for a
    number, the colour is the predicted value; for more classes, it is the predicted class."""
    two = classes and surface.values.shape[-1] == 2
    values = surface.values[..., 1] if two else surface.values.argmax(-1) if classes else surface.values[..., 0]
    colours = "RdBu_r" if two else "tab10" if classes else "viridis"
    low, high = (0.0, 1.0) if two else (float(values.min()), float(values.max()) + 1e-9)
    stages = len(values)
    across = min(3, stages)
    with _drawing():
        rows = -(-stages // across)
        figure, grid = _axes(2.3 * across + 0.9, 2.4 * rows, rows, across, sharex=True, sharey=True)
        for i, axes in enumerate(grid.ravel()):
            if i >= stages:
                axes.set_axis_off()
                continue
            shown: Any = {"origin": "lower", "extent": surface.limits}
            image = axes.imshow(values[i], vmin=low, vmax=high, cmap=colours, aspect="auto", **shown)
            if two and values[i].min() < 0.5 < values[i].max():
                axes.contour(values[i], levels=[0.5], colors="#111111", linewidths=1, **shown)
            _points(axes, surface, colours, low, high)
            step = int(surface.steps[i])
            axes.set_title("tested weights" if step < 0 else f"{step:,} passes", fontsize=9)
            axes.tick_params(labelsize=7)
            axes.locator_params(nbins=4)
        label = "probability of the second class" if two else "predicted class" if classes else "predicted number"
        figure.colorbar(image, ax=grid, shrink=0.8, label=label)
        return _svg(figure, "surface", "predictions over the two features")


def _points(axes: Any, surface: Surface, colours: str, low: float, high: float) -> None:
    kept = slice(0, 300)
    axes.scatter(
        surface.points[kept, 0],
        surface.points[kept, 1],
        c=surface.targets[kept],
        cmap=colours,
        vmin=low,
        vmax=high,
        edgecolors="#ffffff",
        linewidths=1,
        s=26,
    )
