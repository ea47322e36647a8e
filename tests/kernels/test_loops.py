"""What the compiled loops compute: tanh and sigmoid, and the same numbers in any number of threads and processes."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_models.kernels.recurrence import GRU, LSTM, SimpleRNN
from tests.programs import Programs

LAYERS = [SimpleRNN, GRU, LSTM]


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def gradients(kind: Any) -> list[Tensor]:
    """Outputs and gradients for more samples than three slices have."""
    torch.manual_seed(0)
    layer = kind(5, 7, 2)
    inputs = torch.randn(9, 80, 5, requires_grad=True)
    outputs, _ = layer(inputs)
    return [outputs, *torch.autograd.grad(outputs.square().sum(), [inputs, *layer.parameters()])]


@pytest.mark.parametrize("kind", LAYERS)
def test_results_do_not_depend_on_the_number_of_threads(kind: Any, threads: None) -> None:
    found = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        found.append(gradients(kind))
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def send_gradients(connection: Any) -> None:
    connection.send([gradient.tolist() for gradient in gradients(SimpleRNN)])


def gradients_here_and_in_a_fork() -> list[Any]:
    """Of this process, which has started the threads of the loops, and of one that is forked from it then."""
    torch.set_num_threads(2)
    here = [gradient.tolist() for gradient in gradients(SimpleRNN)]
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=send_gradients, args=(theirs,))
    process.start()
    assert ours.poll(60), "the forked process waits for threads that it does not have"
    there = ours.recv()
    process.join()
    return [here, there]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here")
def test_a_forked_process_starts_threads_of_its_own(tmp_path: Path, programs: Programs) -> None:
    here, there = programs.call(gradients_here_and_in_a_fork, folder=tmp_path)
    assert here == there


def test_tanh_is_accurate() -> None:
    layer = SimpleRNN(1, 1)
    for parameter, value in zip(layer.parameters(), (1.0, 0.0, 0.0, 0.0), strict=True):
        torch.nn.init.constant_(parameter, value)
    inputs = torch.cat([torch.linspace(-20, 20, 100_001), torch.logspace(-30, 1, 1_000), torch.tensor([-0.0, 1e38])])
    outputs = layer(inputs[None, :, None])[0].flatten()
    assert (outputs.double() - inputs.double().tanh()).abs().max() < 3e-7  # what the docstring says
    small = inputs.abs() < 1
    error = (outputs.double() - inputs.double().tanh())[small].abs()
    assert (error <= 4e-7 * inputs.double()[small].abs()).all()  # three roundings of float32, relative to small numbers


def test_sigmoid_is_accurate() -> None:
    """With the other gates fixed, a GRU's first state is 1 - sigmoid of its update gate's sum."""
    layer: Any = GRU(1, 1)
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        layer.weight_ih_l0[1] = 1  # of the update gate
        layer.bias_ih_l0[2] = 100  # n is 1
    inputs = torch.linspace(-30, 30, 100_001)
    outputs = layer(inputs[None, :, None])[0].flatten()
    assert (outputs.double() - (-inputs.double()).sigmoid()).abs().max() < 5e-7  # 2e-7, and tanh's 3e-7 of n
