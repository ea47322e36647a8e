"""The properties that a dataset tells a model and the command line: types of samples and targets, sizes, names,
checksums.

All of them are optional. Each one has a `Protocol` here, and code checks for it with `isinstance(data, HasSpec)`, for
example.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from datamodules.contents.facts import Contents

Kind = Literal["features", "images", "tokens"]
"""The type of one sample: numbers, float `(F,)`; an image, float `(C, H, W)` in 0 to 1; token ids, int64 `(T,)`."""
UNITS: dict[Kind | None, str] = {"features": "rows", "images": "images", "tokens": "texts", None: "samples"}
"""The samples of each kind in words."""
TaskName = Literal["classification", "multilabel", "regression"]
"""The type of one target: a class, int64 `()`; a set of labels, float `(L,)` of 0 and 1; numbers, float `(D,)`."""


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """The properties of a dataset that decide a model's settings. A model receives those that its constructor names.

    A field is None if it is unknown or has no meaning for this kind of data. A dataset with further properties
    subclasses this class.

    Args:
        task: the type of one target.
        num_classes: number of classes ("classification") or of labels ("multilabel").
        class_names: the name of each class or label.
        num_targets: numbers in one target ("regression").
        target_names: the name of each number in a target.
        num_features: numbers in one sample, over all its dimensions.
        num_channels: colour channels of an image.
        image_size: height and width of an image, in pixels: one number if they are equal, or `[height, width]`.
        vocab_size: number of token ids.
        padding_id: the token id that pads.
        max_length: length of the longest text, in tokens.
        tokenizer: the tokenizer that made the ids: "words", "basic_english" or the name of a checkpoint.
        mask_padding: whether a recurrent network should skip the padding, because batches differ in width. This is a
            recommendation: a value that the user sets wins.
    """

    RECOMMENDED: ClassVar[frozenset[str]] = frozenset({"mask_padding"})
    """Fields that only recommend a value: a setting of the user may differ from them."""

    task: TaskName = "classification"
    num_classes: int | None = None
    class_names: list[str] | None = None
    num_targets: int | None = None
    target_names: list[str] | None = None
    num_features: int | None = None
    num_channels: int | None = None
    image_size: int | list[int] | None = None
    vocab_size: int | None = None
    padding_id: int | None = None
    max_length: int | None = None
    tokenizer: str | None = None
    mask_padding: bool | None = None

    @classmethod
    def model_fields(cls) -> set[str]:
        """Names of the fields that a model may receive."""
        return {f.name for f in fields(cls)} - {"tokenizer"}

    def for_model(self) -> dict[str, Any]:
        """The known fields that a model may receive, by name. The tokenizer is not one of them; its name is compared
        with that of the pretrained checkpoint."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name in self.model_fields()}
        return {name: value for name, value in values.items() if value is not None}


@runtime_checkable
class HasKind(Protocol):
    """A class of data that declares the type of one sample, in a `ClassVar`.

    The check is on the class, before there is an instance: `isinstance(MyData, HasKind)`.
    """

    kind: Kind
    """Compared with the kinds that a model accepts, before any file is read."""


@runtime_checkable
class HasSpec(Protocol):
    """Data that tell a model its sizes."""

    def spec(self) -> DataSpec:
        """The sizes. The method may read the user's file, so it is called only once, after the check that model and
        data fit."""
        ...


@runtime_checkable
class HasValidation(Protocol):
    """Data that declare whether they have a validation part. Other data are expected to have one."""

    @property
    def has_validation(self) -> bool:
        """Whether there is a validation part. No file is read to answer this."""
        ...


@runtime_checkable
class HasGlobalBatches(Protocol):
    """A sampler that knows the batches of all processes."""

    def global_batches(self) -> Sequence["Tensor"]:
        """The indices of every global batch of the current epoch, in order, each int64 `(B,)`."""
        ...


@runtime_checkable
class HasChecksums(Protocol):
    """Data that give checksums of their files."""

    def checksums(self) -> dict[str, str]:
        """SHA-256 of each file, by name, for `results.json`."""
        ...


@runtime_checkable
class HasPredictNames(Protocol):
    """Data that give a name to each sample that is predicted."""

    def predict_names(self) -> Sequence[str]:
        """One name for each sample, in the order of the samples."""
        ...


@runtime_checkable
class HasContents(Protocol):
    """Data that say what is in them. `fit` prints it, and `data-check` shows it."""

    def contents(self, spec: DataSpec) -> "Contents":
        """What is in the parts that are set up. No file is read.

        Args:
            spec: what the data or the model say of the targets.
        """
        ...

    def inspect(self) -> "Contents":
        """Sets up all parts, reads all samples, and says what is in them.

        Raises:
            UserError: a mistake in the data that ends the reading.
        """
        ...


@runtime_checkable
class HasTokenTexts(Protocol):
    """Data that know the texts of their token ids."""

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        """The text of each token id; empty for padding and for tokens that only mark a place."""
        ...


@runtime_checkable
class HasSkipped(Protocol):
    """Data that leave out inputs to predict that cannot be read."""

    num_skipped: int
    """How many there are."""


@runtime_checkable
class HasTokenizer(Protocol):
    """A class of data with a setting for the name of a pretrained checkpoint, whose tokenizer then makes the ids.

    If the user does not set it, it is set to the checkpoint of the pretrained model. The check is on the class, before
    there is an instance: `isinstance(MyData, HasTokenizer)`.
    """

    tokenizer_setting: str
    """The name of the constructor's argument, in a `ClassVar`."""


@runtime_checkable
class HasFixedSettings(Protocol):
    """A class of data with settings that a model's weights depend on, such as the words of the token ids. They cannot
    be changed for a checkpoint. The check is on the class: `isinstance(MyData, HasFixedSettings)`."""

    fixed_settings: frozenset[str]
    """Names of the constructor's arguments."""
