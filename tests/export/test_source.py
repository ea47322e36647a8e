"""What is exported with a module: real samples, its example, random ones, or the reason why there are none."""

from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from datamodules import MNISTDataModule
from datamodules.errors import UserError
from lit_models import LitCNN, LitMLP
from lit_models.export.readme import variables
from lit_models.export.source import Samples, call, make_source, named_tensors, variable, variations


class Sums(L.LightningModule):
    """A module with two inputs and no data."""

    def __init__(self, example: Any = None) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.example_input_array = example

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(first), first + second


PAIR = {"first": torch.ones(3, 2), "second": torch.ones(3, 2)}


def test_real_samples_come_from_the_test_split() -> None:
    data = MNISTDataModule(dataset="digits")
    source = make_source(LitCNN(), data)
    assert (source.samples.origin, source.samples.note) == ("32 test samples", None)
    data.setup("test")
    assert data.test_table is not None
    assert torch.equal(source.samples.tensors["inputs"], data.test_table[torch.arange(32)][0])


def test_without_the_files_random_samples_are_used_and_a_note_says_why() -> None:
    samples = make_source(LitCNN(), MNISTDataModule(data_dir="no_such_folder")).samples
    assert samples.note is not None
    assert samples.note.startswith(
        "note: real samples are not at hand (MNIST is missing: put train-images-idx3-ubyte, "
    )
    assert samples.tensors["inputs"].shape == (32, 1, 28, 28)


@pytest.mark.parametrize("example", [PAIR, tuple(PAIR.values())], ids=["keywords", "arguments"])
def test_an_example_of_the_module_is_used_as_lightning_does(example: Any) -> None:
    module = Sums(example)
    source = make_source(module, None)
    assert source.samples.origin == "the module's example_input_array"
    assert source.output_names() == ["output_0", "output_1"]
    outputs = source.computation()(*source.samples.tensors.values())
    assert [torch.equal(a, b) for a, b in zip(outputs, module(**PAIR), strict=True)] == [True, True]


def test_a_module_without_inputs_says_what_to_set() -> None:
    expected = "Sums has no inputs to export it with: the checkpoint has no data; set example_input_array in the module"
    with pytest.raises(UserError, match=expected):
        make_source(Sums(), None)
    with pytest.raises(UserError, match="Sums has no inputs to export it with: forward cannot be called with 32 test"):
        make_source(Sums(), MNISTDataModule(dataset="digits"))


def test_a_mapping_is_given_as_it_is() -> None:
    samples = Samples({"a": torch.ones(2), "b": torch.zeros(2)}, "mapping", "2 samples")
    assert call(nn.Identity(), samples) is samples.tensors
    assert list(named_tensors({"x": torch.ones(1), "y": [torch.ones(1), torch.ones(1)]})) == ["x", "y_0", "y_1"]
    with pytest.raises(UserError, match="forward returns a str, expected tensors, or mappings or lists of them"):
        named_tensors("text")


def test_batches_of_other_sizes_have_other_sizes() -> None:
    tokens = torch.arange(24).view(4, 6)
    shapes = [tuple(t["inputs"].shape) for t in variations(Samples({"inputs": tokens}, "tensor", ""), lengths=True)]
    assert shapes == [(1, 6), (2, 6), (7, 6), (1, 1), (3, 2), (2, 7), (5, 3), (2, 15)]


def test_float64_weights_have_float64_samples() -> None:
    source = make_source(LitMLP(num_features=784).double(), MNISTDataModule(dataset="digits"))
    assert source.samples.tensors["inputs"].dtype == torch.float64


class Named(L.LightningModule):
    """A module whose inputs have names that are no names of Python."""

    def __init__(self) -> None:
        super().__init__()
        self.example_input_array = {"pixel values": torch.ones(3, 2), "class": torch.ones(3, 2)}

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        return {"if": inputs["pixel values"] + inputs["class"]}


def test_names_that_python_does_not_take_are_changed_in_the_lines_to_run() -> None:
    source = make_source(Named(), None)
    compile(source.preprocessing.code, "README.md", "exec")
    assert [variable(name) for name in ("pixel values", "class", "2d", "x")] == ["pixel_values", "class_", "_2d", "x"]
    assert variables(source) == "if_,"


class NoForward(L.LightningModule):
    """A module that trains in `training_step` alone."""


def test_a_module_without_forward_is_told_so() -> None:
    with pytest.raises(UserError, match=r"^NoForward has no forward: define what the exported file computes$"):
        make_source(NoForward(), None)
