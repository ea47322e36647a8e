"""What is exported: a module with its weights, samples of its data, and how inputs become samples."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from keyword import iskeyword
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn

from datamodules.base import DataModule
from datamodules.errors import UserError
from datamodules.preprocessing import HasPreprocessing, Preprocessing
from lit_models.export.recurrent import MaskedRNN
from lit_models.keras.importing_graph import random_batch
from lit_models.keras.network import KerasNetwork
from lit_models.rnn import RNN
from lit_models.tasks.task import LitTask

NUM_SAMPLES, MOST_NUMBERS = 32, 2**24
"""Samples that are compared, and the largest number of values in all of them together."""
STAGES = {"test": "test", "validate": "val", "fit": "train"}
"""The stages whose data are looked for, and the name of their split."""
Form = Literal["tensor", "mapping", "arguments", "keywords"]


@dataclass(frozen=True)
class Samples:
    """Inputs of the module.

    Args:
        tensors: the inputs of one batch, by name.
        form: how `forward` receives them: a tensor, a mapping, several arguments, or keywords.
        origin: what they are, such as "32 test samples".
        note: why they are not real samples; None if they are.
    """

    tensors: dict[str, Tensor]
    form: Form
    origin: str
    note: str | None = None


class Computation(nn.Module):
    """What an exported file computes: a LitTask's predictions and the outputs that they are made of, or what the
    `forward` of any other module returns.

    Args:
        module: the module, in evaluation mode.
        form: how `forward` receives the inputs.
        names: the names of the inputs.
    """

    def __init__(self, module: L.LightningModule, form: Form, names: list[str]) -> None:
        super().__init__()
        self.form, self.input_names = form, names
        self.predictions: Callable[[Tensor], Tensor] | None = None
        network: nn.Module = module
        if isinstance(module, LitTask):
            network = module if is_overridden("forward", module, LitTask) else module.network
            self.predictions = module.predictions
        self.network = MaskedRNN(network) if isinstance(network, RNN) and network.mask_padding else network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The outputs, in the order of `output_names`."""
        match self.form:
            case "tensor" | "arguments":
                outputs = self.network(*tensors)
            case "mapping":
                outputs = self.network(dict(zip(self.input_names, tensors, strict=True)))
            case "keywords":
                outputs = self.network(**dict(zip(self.input_names, tensors, strict=True)))
        return as_outputs(outputs, self.predictions)


def as_outputs(outputs: Any, predictions: Callable[[Tensor], Tensor] | None) -> tuple[Tensor, ...]:
    """What `forward` returns, as the outputs of a file: with a LitTask's predictions before it, if they differ."""
    if predictions is None:
        return tuple(named_tensors(outputs).values())
    predicted = predictions(outputs)
    return (outputs,) if predicted is outputs else (predicted, outputs)


def named_tensors(outputs: Any, name: str = "output") -> dict[str, Tensor]:
    """The tensors in a module's outputs, by name: a tensor, or mappings and sequences of them."""
    if isinstance(outputs, Tensor):
        return {name: outputs}
    if isinstance(outputs, Mapping):
        parts = [named_tensors(value, str(key)) for key, value in outputs.items()]
    elif isinstance(outputs, list | tuple):
        parts = [named_tensors(value, f"{name}_{i}") for i, value in enumerate(outputs)]
    else:
        raise UserError(f"forward returns a {type(outputs).__name__}, expected tensors, or mappings or lists of them")
    return {key: value for part in parts for key, value in part.items()}


@dataclass(frozen=True)
class Source:
    """A module that is exported.

    Args:
        module: the module, on the CPU and in evaluation mode.
        samples: inputs of it.
        preprocessing: how an input becomes a sample.
    """

    module: L.LightningModule
    samples: Samples
    preprocessing: Preprocessing

    @property
    def name(self) -> str:
        """The name of the module's class."""
        return type(self.module).__name__

    @property
    def task(self) -> str | None:
        """The kind of target of a LitTask; None for another module."""
        return str(self.module.hparams.get("task", "classification")) if isinstance(self.module, LitTask) else None

    @property
    def class_names(self) -> list[str]:
        """The names of a LitTask's classes, labels or numbers; empty for another module."""
        return list(self.module.target.names) if isinstance(self.module, LitTask) else []

    def computation(self) -> Computation:
        """What the exported file computes."""
        return Computation(self.module, self.samples.form, list(self.samples.tensors)).eval()

    def outputs(self, tensors: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """What the module itself computes for other inputs, with its fast code, in the order of `output_names`."""
        predictions = self.module.predictions if isinstance(self.module, LitTask) else None
        with torch.no_grad():
            return as_outputs(call(self.module, replace(self.samples, tensors=tensors)), predictions)

    def output_names(self) -> list[str]:
        """The names of the outputs, in their order."""
        if not isinstance(self.module, LitTask):
            with torch.no_grad():
                return list(named_tensors(call(self.module, self.samples)))
        return ["values"] if self.task == "regression" else ["probabilities", "logits"]


def call(module: nn.Module, samples: Samples) -> Any:
    """What the module returns for the samples."""
    tensors = samples.tensors
    match samples.form:
        case "tensor" | "arguments":
            return module(*tensors.values())
        case "mapping":
            return module(tensors)
        case "keywords":
            return module(**tensors)


def make_source(module: L.LightningModule, data: L.LightningDataModule | None) -> Source:
    """Finds inputs of a module: real samples of its data, its `example_input_array`, or random ones.

    Raises:
        UserError: there are none, or `forward` is missing or cannot be called with them.
    """
    module.eval()
    if type(module).forward is L.LightningModule.forward:
        raise UserError(f"{type(module).__name__} has no forward: define what the exported file computes")
    samples, reason = _usable(module, real_samples(data)) if data is not None else (None, "the checkpoint has no data")
    if samples is None and module.example_input_array is not None:
        origin = "the module's example_input_array"
        samples, reason = _usable(module, _as_samples(module.example_input_array, origin, arguments=True))
    if samples is None and isinstance(module, LitTask):
        samples = random_samples(module, reason)
    if samples is None:
        raise UserError(
            f"{type(module).__name__} has no inputs to export it with: {reason}; set example_input_array in the module"
        )
    return Source(module, samples, described(data, samples))


def _usable(module: L.LightningModule, found: Samples | str) -> tuple[Samples | None, str]:
    """The samples if `forward` can be called with them; otherwise the reason."""
    if isinstance(found, str):
        return None, found
    kind = next(module.parameters(), torch.zeros(())).dtype
    tensors = {k: v.to(kind) if v.is_floating_point() else v for k, v in found.tensors.items()}
    found = Samples(tensors, found.form, found.origin, found.note)
    try:
        with torch.no_grad():
            call(module, found)
    except Exception as error:  # a stranger's module may raise anything
        return None, f"forward cannot be called with {found.origin}: {first_line(error)}"
    return found, ""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, with its type if it is empty."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def real_samples(data: L.LightningDataModule) -> Samples | str:
    """The first samples of the test split, the validation part or the training part; otherwise a reason. Nothing is
    downloaded."""
    reason = f"{type(data).__name__} has no samples"
    for stage, split in STAGES.items():
        try:
            batch = _first_batch(data, stage, split)
        except (Exception, SystemExit) as error:  # files that are not there, and anything in a stranger's data
            reason = first_line(error)
            continue
        if batch is not None:
            inputs = batch[0] if isinstance(batch, list | tuple) else batch
            return _as_samples(inputs, f"{split} samples")
    return reason


def _first_batch(data: L.LightningDataModule, stage: str, split: str) -> Any:
    data.setup(stage)
    if not isinstance(data, DataModule):
        loader = getattr(data, f"{split}_dataloader")()
        return next(iter(loader[0] if isinstance(loader, list | tuple) else loader))
    table = {"test": data.test_table, "val": data.val_table, "train": data.train_table}[split]
    return None if table is None or not len(table) else table[torch.arange(min(len(table), NUM_SAMPLES))]


def _as_samples(inputs: Any, origin: str, *, arguments: bool = False) -> Samples | str:
    """Inputs of a batch as samples, or why they are none. With `arguments`, a tuple or a mapping is the arguments of
    `forward`, as Lightning treats `example_input_array`."""
    form: Form = "tensor"
    if isinstance(inputs, Tensor):
        named: dict[str, Any] = {"inputs": inputs}
    elif isinstance(inputs, Mapping):
        named, form = dict(inputs), "keywords" if arguments else "mapping"
    elif isinstance(inputs, list | tuple) and arguments:
        named, form = {f"input_{i}": part for i, part in enumerate(inputs)}, "arguments"
    else:
        return f"the inputs of a batch are a {type(inputs).__name__}, expected a tensor or a mapping of tensors"
    if strange := [name for name, part in named.items() if not isinstance(part, Tensor) or not part.ndim]:
        return f"the input {strange[0]!r} is a {type(named[strange[0]]).__name__}, expected a tensor with a batch"
    count = min(len(part) for part in named.values())
    kept = min(count, NUM_SAMPLES, max(1, MOST_NUMBERS // max(1, sum(part[0].numel() for part in named.values()))))
    tensors = {str(name): part[:kept].detach().cpu() for name, part in named.items()}
    return Samples(tensors, form, f"{kept} {origin}" if not arguments else origin)


def random_samples(module: LitTask, reason: str) -> Samples | None:
    """Random inputs with the sizes in the module's settings; None if they have none."""
    note = f"note: real samples are not at hand ({reason}), so random inputs are compared"
    generator, settings = torch.Generator().manual_seed(0), module.hparams
    dtype = next(module.parameters()).dtype
    if "vocab_size" in settings:
        width = min(settings.get("max_length") or 20, 20)
        tokens = torch.randint(0, settings["vocab_size"], (NUM_SAMPLES, width), generator=generator)
        for row, length in enumerate(np.random.default_rng(0).integers(0, width, NUM_SAMPLES // 2).tolist()):
            tokens[row, : width - length] = settings.get("padding_id", 0)
        inputs = tokens
    elif "image_size" in settings:
        size = settings["image_size"]
        sides = size if isinstance(size, list | tuple) else [size, size]
        inputs = torch.rand(NUM_SAMPLES, settings["num_channels"], *sides, generator=generator, dtype=dtype)
    elif "num_features" in settings:
        inputs = torch.randn(NUM_SAMPLES, settings["num_features"], generator=generator, dtype=dtype)
    elif isinstance(module.network, KerasNetwork):
        given = random_batch(module.network)
        if isinstance(given, dict):
            return Samples(given, "mapping", f"{NUM_SAMPLES} random samples", note)
        inputs = given
    else:
        return None
    return Samples({"inputs": inputs}, "tensor", f"{NUM_SAMPLES} random samples", note)


def described(data: object, samples: Samples) -> Preprocessing:
    """How an input becomes a sample, as the data describe it; otherwise the shape of the inputs."""
    if isinstance(data, HasPreprocessing):
        try:
            return data.preprocessing()
        except UserError:  # without the files of the data, they do not know it
            pass
    lines, shapes = [], []
    for name, tensor in samples.tensors.items():
        sides = ", ".join(map(str, [1, *tensor.shape[1:]]))
        dtype = str(tensor.dtype).removeprefix("torch.")
        lines.append(f"{variable(name)} = np.zeros(({sides}{',' if tensor.ndim == 1 else ''}), dtype=np.{dtype})")
        shapes.append(f"`{name}`: {dtype} `({', '.join(['B', *map(str, tensor.shape[1:])])})`")
    return Preprocessing(f"The inputs are {'; '.join(shapes)}, where B is the number of samples.", "\n".join(lines))


def variable(name: str) -> str:
    """A name of Python for an input or an output, such as "pixel_values" for "pixel values"."""
    name = re.sub(r"\W|^(?=\d)", "_", name)
    return f"{name}_" if iskeyword(name) else name


def has_lengths(tensor: Tensor) -> bool:
    """Whether an input is token ids `(B, T)`."""
    return tensor.ndim == 2 and not tensor.is_floating_point() and not tensor.is_complex()


def variations(samples: Samples, *, lengths: bool) -> Iterator[dict[str, Tensor]]:
    """Batches of other sizes, made of the samples: one sample, two, and more than there are. With `lengths`, also texts
    of other lengths, of the same ids in another order."""
    generator = torch.Generator().manual_seed(1)
    tensors = samples.tensors
    count = len(next(iter(tensors.values())))
    for size in (1, 2, count + 3):
        rows = torch.randint(0, count, (size,), generator=generator)
        yield {name: tensor[rows] for name, tensor in tensors.items()}
    if not lengths:
        return
    width = next(tensor.shape[1] for tensor in tensors.values() if has_lengths(tensor))
    for size, length in ((1, 1), (3, 2), (2, width + 1), (5, max(1, width // 2)), (2, 2 * width + 3)):
        rows = torch.randint(0, count, (size,), generator=generator)
        steps = torch.randint(0, width, (length,), generator=generator)
        yield {
            name: tensor[rows][:, steps] if has_lengths(tensor) else tensor[rows] for name, tensor in tensors.items()
        }
