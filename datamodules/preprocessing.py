"""How an input becomes a sample of a network, for programs that do not use this package.

`export` writes it beside an exported model: sentences for a reader, lines of Python, and the files that they read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Preprocessing:
    """How an input becomes a sample.

    Args:
        steps: sentences that describe it.
        code: lines of Python that set `inputs`, a numpy array with one row for each sample.
        imports: the import lines that `code` needs, in addition to numpy as `np`.
        files: the content of each file that `code` reads, by name.
    """

    steps: str
    code: str
    imports: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class HasPreprocessing(Protocol):
    """Data that describe how an input becomes a sample."""

    def preprocessing(self) -> Preprocessing:
        """The description. It may need the user's files if no checkpoint was loaded."""
        ...


IMAGE_CODE = """\
image = Image.new("{mode}", ({width}, {height}))
# image = Image.open("my.png").convert("{mode}").resize(({width}, {height}))
inputs = {array}  # (1, {channels}, {height}, {width})"""


def of_images(*, height: int, width: int, channels: int, note: str = "") -> Preprocessing:
    """Images of one size, with pixels in 0 to 1.

    Args:
        height: pixels.
        width: pixels.
        channels: 1 for grey, 3 for red, green and blue.
        note: a further sentence about the images.
    """
    colours, pixels = ("grey", "np.asarray(image)[None, None]") if channels == 1 else ("RGB", _RGB_PIXELS)
    code = IMAGE_CODE.format(
        mode="L" if channels == 1 else "RGB",
        height=height,
        width=width,
        channels=channels,
        array=f"{pixels}.astype(np.float32) / 255",
    )
    steps = f"A {colours} image of {height} x {width} pixels (height x width), divided by 255. {note}".rstrip()
    return Preprocessing(steps, code, ("from PIL import Image",))


_RGB_PIXELS = "np.asarray(image).transpose(2, 0, 1)[None]"

COLUMNS_FILE = "columns.json"
COLUMNS_CODE = """\
with open("{file}", encoding="utf-8") as file:
    columns = json.load(file)
row = {row}


def numbers(column):
    value = row[column["name"]]
    if "values" in column:  # one number for each category
        return [float(str(value).strip() == category) for category in column["values"]]
    return [(value - column["mean"]) / column["std"]]


inputs = np.array([[n for column in columns for n in numbers(column)]], dtype=np.float32)"""


def of_columns(columns: Sequence[Mapping[str, Any]]) -> Preprocessing:
    """A row of a table.

    Args:
        columns: the columns in their order. A column of numbers has `mean`, `std` and `fill`; a column of categories
            has `values`.
    """
    row = {c["name"]: c["values"][0] if "values" in c else round(c["mean"], 6) for c in columns}
    steps = (
        "A row of a table. A number is standardised: its mean in the training data is subtracted, and the result is "
        f"divided by the standard deviation. A category becomes one number for each known category. `{COLUMNS_FILE}` "
        "has the columns in their order; `fill` stands for a missing number."
    )
    code = COLUMNS_CODE.format(file=COLUMNS_FILE, row=repr(row))
    return Preprocessing(steps, code, ("import json",), {COLUMNS_FILE: json.dumps(list(columns), indent=1)})
