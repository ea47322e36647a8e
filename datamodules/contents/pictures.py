"""Image files: sizes, colours, files that cannot be read, and images that occur twice."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from datamodules.contents.batches import Chosen, histogram, picture
from datamodules.contents.counting import TargetCounts, counted
from datamodules.contents.facts import Contents, Histogram, Sample
from datamodules.contents.repeats import Keys, repeat_notes
from datamodules.errors import UserError, listed
from datamodules.pictures.folders import LabelledImage
from datamodules.pictures.reading import the_size
from datamodules.spec import UNITS, DataSpec
from datamodules.storage.image_files import Form, Header, read_header, read_pixels
from datamodules.storage.progress import progress

MOST_MISTAKES = 20
"""Images with the same problem that are named."""


class Pictures:
    """The images of all parts. Each image is read at its own size.

    Args:
        classes: names of the classes.
        name_of: the name of a file, for messages.
    """

    def __init__(self, classes: Sequence[str], name_of: Callable[[Path], str]) -> None:
        self.classes, self.name_of = list(classes), name_of
        self.targets: dict[str, TargetCounts] = {}
        self.headers: dict[str, list[Header]] = {}
        self.unreadable: list[str] = []
        self.unknown: list[str] = []
        self.samples: list[Sample] = []
        self._spec = DataSpec(num_classes=len(classes), class_names=self.classes)
        self._keys: dict[str, Keys] = {}
        self._chosen = Chosen(len(classes))

    def read(self, part: str, images: Sequence[LabelledImage]) -> None:
        """Reads the images of a part."""
        names: list[str] = []
        keys = Keys(names.__getitem__)
        targets, headers = [], []
        for image in progress(images, doing="reading", unit="images", total=len(images)):
            target = self.classes.index(image.label) if image.label in self.classes else -1
            targets.append(target)
            if target < 0:
                self.unknown.append(f"{image.path} is of the class {image.label!r}, which no training image has")
            try:
                header = read_header(image.path)
                pixels = read_pixels(image.path, Form(*header))  # (C, H, W)
            except UserError as error:
                self.unreadable.append(str(error))
                continue
            headers.append(header)
            names.append(self.name_of(image.path))
            keys.add(repr(header).encode() + pixels.numpy().tobytes(), image.label)
            if part == "train" and self._chosen.takes(image.label):
                self.samples.append(Sample(image.label, names[-1], pixels=picture(pixels)))
        self.targets[part] = TargetCounts(self._spec, len(images))
        self.targets[part].add(torch.tensor(targets, dtype=torch.int64))
        self.headers[part], self._keys[part] = headers, keys

    def contents(self, sides: tuple[int, int] | None) -> Contents:
        """What the images are.

        Args:
            sides: the height and width that all images get; None if they must have one size.
        """
        contents = counted(self._spec, self.targets, unit=UNITS["images"])
        headers = [header for part in self.headers.values() for header in part]
        mistakes = [*_first(self.unreadable), *_first(self.unknown)]
        if sides is None and self.headers.get("train"):
            try:
                the_size(self.headers["train"])
            except UserError as error:
                mistakes.append(str(error))
        return replace(
            contents,
            facts=(*contents.facts, *_facts(headers)),
            notes=(*contents.notes, *repeat_notes(self._keys, unit=UNITS["images"])),
            mistakes=tuple(mistakes),
            histograms=_histograms(headers),
            samples=tuple(self.samples),
        )


def _first(mistakes: list[str]) -> list[str]:
    """The first mistakes of one kind, and how many more there are."""
    more = len(mistakes) - MOST_MISTAKES
    return mistakes if more <= 0 else [*mistakes[:MOST_MISTAKES], f"{more:,} more images with this problem"]


def _facts(headers: Sequence[Header]) -> list[tuple[str, str]]:
    if not headers:
        return []
    sizes = Counter((header.height, header.width) for header in headers).most_common()
    colours = Counter("grey" if header.channels == 1 else "colour" for header in headers)
    return [
        ("height x width", listed([f"{height} x {width} ({times:,})" for (height, width), times in sizes])),
        ("colours", ", ".join(f"{times:,} {name}" for name, times in sorted(colours.items()))),
    ]


def _histograms(headers: Sequence[Header]) -> tuple[Histogram, ...]:
    """The heights and widths, if they differ."""
    sides = {"height in pixels": [h.height for h in headers], "width in pixels": [h.width for h in headers]}
    return tuple(histogram(title, np.array(each)) for title, each in sides.items() if len(set(each)) > 1)
