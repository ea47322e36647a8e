"""What a dataset tells a model and the command line: the type of a sample and of a target, sizes, names, checksums.

A data module may answer none of this: each answer is optional and has a `Protocol` here, so code asks, for example,
`isinstance(data, HasSpec)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["features", "images", "tokens"]
"""The type of one sample: numbers, float `(F,)`; an image, float `(C, H, W)` in 0 to 1; token ids, int64 `(T,)`."""
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
        image_size: height and width of an image, in pixels.
        vocab_size: number of token ids.
        padding_id: the token id that pads.
        max_length: length of the longest text, in tokens.
        tokenizer: the tokenizer that made the ids: "words", "basic_english" or the name of a checkpoint.
        mask_padding: whether a recurrent network should skip the padding, because batches differ in width. This is a
            recommendation: a value that the user sets wins.
    """

    RECOMMENDED: ClassVar[frozenset[str]] = frozenset({"mask_padding"})
    """Fields that a setting of the user's may contradict."""

    task: TaskName = "classification"
    num_classes: int | None = None
    class_names: list[str] | None = None
    num_targets: int | None = None
    target_names: list[str] | None = None
    num_features: int | None = None
    num_channels: int | None = None
    image_size: int | None = None
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
        """The fields that are known and that a model may receive, by name. The tokenizer's name is not one of them: it
        is compared with the pretrained checkpoint's."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name in self.model_fields()}
        return {name: value for name, value in values.items() if value is not None}


@runtime_checkable
class HasKind(Protocol):
    """A data module's class that says what one sample is, in a `ClassVar`.

    The class itself is asked, before there is an instance: `isinstance(MyData, HasKind)`.
    """

    kind: Kind
    """Compared with the kinds that a model accepts, before any file is read."""


@runtime_checkable
class HasSpec(Protocol):
    """Data that tell a model its sizes."""

    def spec(self) -> DataSpec:
        """The sizes. The method may read the user's file, so it is called once, after the pair of model and data was
        found to fit."""
        ...


@runtime_checkable
class HasValidation(Protocol):
    """Data that say whether they have a validation part. Data that do not say it are expected to have one."""

    @property
    def has_validation(self) -> bool:
        """Whether there will be a validation part; known before any file is read."""
        ...


@runtime_checkable
class HasGlobalBatches(Protocol):
    """A sampler that knows the batches of all processes."""

    def global_batches(self) -> Sequence["Tensor"]:
        """The indices of every global batch of the current epoch, in order, each int64 `(B,)`."""
        ...


@runtime_checkable
class HasChecksums(Protocol):
    """Data that identify the files they were read from."""

    def checksums(self) -> dict[str, str]:
        """SHA-256 of each file, by name, for `results.json`."""
        ...


@runtime_checkable
class HasPredictNames(Protocol):
    """Data that name the samples to predict."""

    def predict_names(self) -> Sequence[str]:
        """One name for each sample, in the order of the samples."""
        ...


@runtime_checkable
class HasTokenizer(Protocol):
    """A data module's class with a setting that takes the name of a checkpoint, whose tokenizer then makes the ids.

    The setting gets the checkpoint of a pretrained model, unless the user sets it. The class itself is asked, before
    there is an instance: `isinstance(MyData, HasTokenizer)`.
    """

    tokenizer_setting: str
    """The name of the constructor's argument, in a `ClassVar`."""


@runtime_checkable
class HasFixedSettings(Protocol):
    """A data module's class with settings that the weights of a model depend on, such as which token is which word. A
    checkpoint fixes them. The class itself is asked: `isinstance(MyData, HasFixedSettings)`."""

    fixed_settings: frozenset[str]
    """Names of the constructor's arguments."""
