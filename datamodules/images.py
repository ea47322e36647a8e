"""Your own images: a folder for each class, or a table of paths and labels; any size, grey or in colour."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from datamodules.base import DataModule
from datamodules.contents.facts import Contents, with_drawn
from datamodules.contents.pictures import Pictures
from datamodules.errors import UserError, listed
from datamodules.pictures.folders import LabelledImage, read_folder, read_table
from datamodules.pictures.reading import each_readable, the_size
from datamodules.pictures.tables import Augmentation, ImageFiles, PictureTable
from datamodules.preprocessing import Preprocessing, of_images
from datamodules.spec import DataSpec, Kind
from datamodules.splits import PURPOSES, Split, check_drawn, digest_of, draw_parts, require_shares
from datamodules.storage.checksums import note
from datamodules.storage.downloads import sha256
from datamodules.storage.image_files import NO_IMAGE, Form, Resize, read_header, read_images, read_pixels
from datamodules.storage.inputs import Skipped
from datamodules.storage.lines import home_path
from datamodules.words.labels import in_order, require_different


class ImageFolderDataModule(DataModule):
    """Your own images and classes, from a folder for each class or from a table.

    The folder has the form `root/CLASS/image.png`, or `root/train/CLASS/image.png` with `val` and `test` beside
    `train`. A part without a folder is drawn from the training images; each class gives its share. Classes are sorted
    by name. Links to images and to the folders of classes are followed.

    PNG, JPEG, BMP, GIF, WEBP and TIFF files are read: the first frame, turned upright as EXIF says, on white where it
    is transparent. 16 bits of grey become 8. Pixels are divided by 255, so that they are in 0 to 1; no mean is
    subtracted. All images are read once before training, and those that are damaged are listed.

    Args:
        root: folder of the images; with a table, the folder of relative paths.
        table: a table such as `.csv`, with a path and a class in each row.
        path_column: name of the table's column with the path, relative to `root` or to the table's folder.
        label_column: name of the table's column with the class.
        split_column: name of the table's column with "train", "val" or "test"; if not given, the parts are drawn.
        size: height and width in pixels that all images get: one number, or `[height, width]`. If not given, the
            training images must have one size.
        resize: how an image gets another aspect ratio: "stretch" changes it, "crop" cuts off the ends of the longer
            side, "pad" adds borders of the corner's colour.
        channels: 1 for grey, 3 for colour; if not given, 1 if all training images are stored in grey.
        augment: random changes of the training images, in this order. "flip": left and right, half of the time.
            "crop": shifted by up to an eighth of each side. "zoom": a part with 50 to 100 % of the area, enlarged.
            "rotate": by up to 10 degrees, with black corners. "jitter": brightness, contrast and saturation by up to
            20 %.
        val_fraction: fraction of all images for validation if no part is named so, 0 or more and below 1.
        test_fraction: the same for testing.
        split_seed: seed of the drawn parts. It is not the seed of the run, so that all runs have the same test part.
        memory_gb: the decoded images of a part are kept in memory in each process if they take at most this many GiB;
            otherwise each epoch decodes them again, in the worker processes.
        batch_size: images in a step, over all processes, at least 1.
        seed: seed of the order and of augmentation; the command line passes `--seed_everything`.
        num_workers: worker processes that prepare batches, 0 or more; with 0, the training process prepares them.
        inputs: image files to predict, folders or patterns of them, or "-" for their paths on standard input; from
            Python, also PIL images and arrays; the test part if not given.

    Raises:
        UserError: a number out of its range, or a mistake in the folder, the table or an image.
        MissingFileError: a folder or file does not exist.
    """

    kind: ClassVar[Kind] = "images"
    fixed_settings: ClassVar[frozenset[str]] = frozenset({"resize", "val_fraction", "test_fraction", "split_seed"})

    def __init__(
        self,
        *,
        root: str | None = None,
        table: str | None = None,
        path_column: str = "path",
        label_column: str = "label",
        split_column: str | None = None,
        size: int | list[int] | None = None,
        resize: Resize = "stretch",
        channels: Literal[1, 3] | None = None,
        augment: Augmentation | list[Augmentation] = [],  # noqa: B006  (read, never changed)
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        memory_gb: float = 2.0,
        batch_size: int = 32,
        seed: int = 0,
        num_workers: int = 0,
        inputs: str | list[str] | None = None,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, num_workers=num_workers, inputs=inputs)
        require_shares(val_fraction, test_fraction)
        if not 0 <= memory_gb < float("inf"):
            raise UserError(f"memory_gb must be 0 or a positive number, got {memory_gb}")
        if split_column and not table:
            raise UserError("split_column is a column of a table: give --data.table, or leave it out")
        if table and path_column == label_column:
            raise UserError(f"path_column and label_column are both {path_column!r}: name the column with the path")
        self.augment = [augment] if isinstance(augment, str) else augment
        if unknown := [name for name in self.augment if name not in get_args(Augmentation)]:
            raise UserError(f"augment has {unknown[0]!r}, expected {', '.join(get_args(Augmentation))}")
        self.sides = None if size is None else both_sides(size)
        self.root = None if root is None else home_path(root)
        self.table = None if table is None else home_path(table)
        self.columns = {"path_column": path_column, "label_column": label_column, "split_column": split_column}
        self.resize, self.channels = resize, channels
        self.val_fraction, self.test_fraction, self.split_seed = val_fraction, test_fraction, split_seed
        self.memory_bytes = memory_gb * 2**30
        self._images: list[LabelledImage] | None = None
        self._parts: dict[Split, list[LabelledImage]] | None = None
        self._classes: list[str] | None = None
        self._form: Form | None = None
        self._drawn: str | None = None
        self._drawn_in_training: str | None = None

    def spec(self) -> DataSpec:
        """Reads the headers of the training images, unless a checkpoint or the settings have all sizes."""
        form, classes = self._known_form(), self._known_classes()
        return DataSpec(
            num_features=form.channels * form.height * form.width,
            num_channels=form.channels,
            image_size=form.height if form.height == form.width else [form.height, form.width],
            num_classes=len(classes),
            class_names=list(classes),
        )

    @property
    def has_validation(self) -> bool:
        if self.val_fraction > 0:
            return True
        with suppress(UserError):  # a checkpoint predicts without the images; a training reports the mistake later
            return any(image.split == "val" for image in self._found())
        return False

    def setup(self, stage: str) -> None:
        if stage == "predict" and self.inputs is not None:
            if self.input_names is None:
                skipped = Skipped(strict=self.strict_inputs)
                self.input_names, pixels = read_images(self.inputs, skipped, self._known_form())
                skipped.report(found=len(pixels) > 0, nothing=NO_IMAGE)
                self.num_skipped = skipped.count
                self.predict_table = PictureTable(pixels, torch.full((len(pixels),), -1))
            return
        if stage == "fit" and self.train_table is None:
            self.train_table = self._table("train", self.augment)
        if stage in ("fit", "validate") and self.val_table is None and self._part("val"):
            self.val_table = self._table("val")
        if stage in ("test", "predict") and self.test_table is None and (stage == "predict" or self._part("test")):
            self.test_table = self.predict_table = self._table("test")
        check_drawn(self._drawn_in_training, self._drawn, source=self.table or self.root, stage=stage)

    def predict_names(self) -> Sequence[str]:
        """The paths of the images; those of the test part relative to `root`."""
        if self.input_names is not None:
            return self.input_names
        return [self._relative(image.path) for image in self._part("test")]

    def contents(self, spec: DataSpec) -> Contents:
        """What is in the parts that are set up, with the form of the images."""
        contents, form = super().contents(spec), self._known_form()
        colours = "grey" if form.channels == 1 else "colour"
        facts = ("height x width", f"{form.height} x {form.width}, {colours}")
        drawn: dict[str, int] = {split: len(images) for split, images in (self._parts or {}).items()}
        return replace(contents, parts=with_drawn(contents.parts, drawn), facts=(*contents.facts, facts))

    def inspect(self) -> Contents:
        """Reads each image at its own size. Damaged images and differing sizes are mistakes in the contents."""
        parts = {split: images for split in PURPOSES if (images := self._part(split))}
        pictures = Pictures(self._known_classes(), self._relative)
        for split, images in parts.items():
            pictures.read(split, images)
        return pictures.contents(self.sides)

    def preprocessing(self) -> Preprocessing:
        form = self._known_form()
        return of_images(height=form.height, width=form.width, channels=form.channels)

    def checksums(self) -> dict[str, str]:
        """One SHA-256 over the names and checksums of all images, and that of the table."""
        images = self._images or []
        digest = hashlib.sha256()
        for image in sorted(images):
            digest.update(f"{self._relative(image.path)}\0{sha256(image.path)}\n".encode())
        sums = {str(self.root or self.table): digest.hexdigest()} if images else {}
        return sums | ({str(self.table): sha256(self.table)} if images and self.table else {})

    def state_dict(self) -> dict[str, Any]:
        """Classes and form, so that a checkpoint can predict without the training images."""
        if self._classes is None or self._form is None:
            return {}
        drawn = self._drawn or self._drawn_in_training
        return {"class_names": list(self._classes), "form": list(self._form), "drawn": drawn}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if not state_dict or state_dict | {"drawn": None} == self.state_dict() | {"drawn": None}:
            return
        height, width, channels, resize = state_dict["form"]
        form = Form(int(height), int(width), int(channels), resize)
        if self.sides not in (None, form[:2]) or self.channels not in (None, form.channels):
            trained = f"{form.height} x {form.width} pixels and {form.channels} channels"
            raise UserError(f"the checkpoint was trained with {trained}: leave --data.size and --data.channels out")
        self._form, self._drawn_in_training = form, state_dict["drawn"]
        self._classes = [str(name) for name in state_dict["class_names"]]
        self.train_table = self.val_table = self.test_table = self.predict_table = None

    def _found(self) -> list[LabelledImage]:
        """All images of the folder or the table."""
        if self._images is None:
            if self.table is not None:
                self._images = read_table(self.table, root=self.root, **self.columns)  # type: ignore[arg-type]
            elif self.root is not None:
                self._images = read_folder(self.root)
            else:
                raise UserError("no images were given: use --data.root with a folder for each class, or --data.table")
        return self._images

    def _part(self, split: Split) -> list[LabelledImage]:
        """The images of a part; empty if there is none."""
        if self._parts is None:
            self._parts = self._split(self._found())
        return self._parts[split]

    def _split(self, images: list[LabelledImage]) -> dict[Split, list[LabelledImage]]:
        """Takes the parts that the folder or the table names, and draws the others."""
        parts: dict[Split, list[LabelledImage]] = {"train": [], "val": [], "test": []}
        for image in images:
            parts[image.split or "train"].append(image)
        if parts["train"]:
            names = sorted({image.label for image in parts["train"]})
            drawn = draw_parts(
                [names.index(image.label) for image in parts["train"]],
                val_fraction=0.0 if parts["val"] else self.val_fraction,
                test_fraction=0.0 if parts["test"] else self.test_fraction,
                seed=self.split_seed,
                unit="images",
            )
            train = parts["train"]
            if len(drawn.val) or len(drawn.test):
                self._drawn = digest_of(self._relative(train[i].path) for i in [*drawn.val, *drawn.test])
            parts["train"] = [train[i] for i in drawn.train.tolist()]
            parts["val"] += [train[i] for i in drawn.val.tolist()]
            parts["test"] += [train[i] for i in drawn.test.tolist()]
        return parts

    def _known_classes(self) -> list[str]:
        if self._classes is None:
            images = self._part("train") or self._found()
            places: dict[str, str] = {}
            for image in images:
                places.setdefault(image.label, str(image.path))
            require_different(places)
            if len(places) < 2:
                raise UserError(f"every image is of the class {min(places)!r}, expected at least two classes")
            self._classes = in_order(sorted(places))
        return self._classes

    def _known_form(self) -> Form:
        """Size and channels: from a checkpoint, from the settings, or from the headers of the training images."""
        if self._form is None:
            sides, channels = self.sides, self.channels
            if sides is None or channels is None:
                paths = [image.path for image in self._part("train") or self._found()]
                headers = list(each_readable(paths, read_header, doing="reading the sizes of"))
                sides = sides or the_size(headers)
                channels = channels or (1 if all(header.channels == 1 for header in headers) else 3)
            self._form = Form(*sides, channels, self.resize)
        return self._form

    def _table(self, split: Split, augment: Sequence[Augmentation] = ()) -> PictureTable:
        images, classes = self._part(split), self._known_classes()
        if not images:
            raise UserError(f"there is nothing to {PURPOSES[split]}: {self.root or self.table} has no {split} part")
        for image in images:
            if image.label not in classes:
                shown = listed(classes)
                raise UserError(f"{image.path}: the class {image.label!r} is not among those of training: {shown}")
        target = torch.tensor([classes.index(image.label) for image in images])
        return PictureTable(self._pixels([image.path for image in images]), target, augment=augment, seed=self.seed)

    def _pixels(self, paths: list[Path]) -> Tensor | ImageFiles:
        """The images, uint8 `(N, C, H, W)`, or the files if the images take too much memory. All of them are decoded
        once, so that damaged ones are refused now."""
        form = self._known_form()
        num_bytes = len(paths) * form.channels * form.height * form.width
        read = partial(read_pixels, form=form)
        if num_bytes > self.memory_bytes:
            much = f"{num_bytes / 2**30:.3g} GiB, more than --data.memory_gb {self.memory_bytes / 2**30:g}"
            note(f"{len(paths):,} images take {much}: each epoch decodes them; --data.num_workers 4 uses more cores")
            for _ in each_readable(paths, read, doing="checking"):
                pass
            return ImageFiles(paths, form)
        pixels = torch.empty(len(paths), form.channels, form.height, form.width, dtype=torch.uint8)
        for i, image in enumerate(each_readable(paths, read, doing="reading")):
            pixels[i] = image
        return pixels

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix() if self.root and path.is_relative_to(self.root) else str(path)


def both_sides(size: int | list[int]) -> tuple[int, int]:
    """Height and width.

    Raises:
        UserError: not one or two numbers of at least 1.
    """
    sides = size if isinstance(size, list) else [size, size]
    if len(sides) != 2 or min(sides) < 1:
        raise UserError(f"size must be one number of pixels, or a list [height, width], got {size}")
    return sides[0], sides[1]
