"""Initial weights beside those of Keras' layers: the same distributions, by two-sample tests on large draws."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from scipy.stats import ks_2samp
from torch import nn

from lit_models.keras.rules.initializers import init_like_keras
from lit_models.keras.rules.weights import KerasArray, keras_arrays

from .keras_runs import Array, with_keras

pytestmark = with_keras

Cell = Literal["SimpleRNN", "LSTM", "GRU"]
I, H = 144, 128  # noqa: E741  (inputs and hidden units)
CELLS: dict[Cell, tuple[type[nn.RNN | nn.LSTM | nn.GRU], int]] = {
    "SimpleRNN": (nn.RNN, 1),
    "LSTM": (nn.LSTM, 4),
    "GRU": (nn.GRU, 3),
}


@pytest.fixture(autouse=True)
def _seeds(keras_backend: str) -> None:
    import keras

    keras.utils.set_random_seed(0)  # torch's too


def drawn(layer: Any, *shape: int) -> list[Array]:
    """The initial weights of a Keras layer on inputs of a shape."""
    layer.build((None, *shape))
    return [np.asarray(w) for w in layer.get_weights()]


def ours(module: nn.Module, init: Callable[[nn.Module], None] = init_like_keras) -> dict[str, Array]:
    """Our initial weights of a layer, by place and Keras' name, in Keras' layout."""
    for weight in module.parameters():
        nn.init.constant_(weight, 7.0)  # what is left is no draw
    module.apply(init)
    return {array.name: values(array) for array in keras_arrays(nn.ModuleDict({"layer": module}))}


def values(array: KerasArray) -> Array:
    found: Array = array.read().detach().numpy()
    return found


def assert_same_distribution(our: Array, their: Array) -> None:
    """Kolmogorov's and Smirnov's test: two draws of one distribution fail once in 10^6. With the 18,432 numbers of the
    smallest kernels here, it tells a uniform distribution from one that is 6 % wider."""
    assert our.shape == their.shape
    assert ks_2samp(our.ravel(), their.ravel()).pvalue > 1e-6


def assert_same_bounds(our: Array, their: Array) -> None:
    """The largest of n uniform draws is below (1 - 30/n) of the bound once in e^30; the bound is rounded to float32."""
    largest, bound = np.abs(our).max(), np.abs(their).max()
    assert abs(largest / bound - 1) < 30 / our.size + 1e-6


def pairs() -> dict[str, tuple[nn.Module, list[Array]]]:
    """Layers with one kernel: ours, and the weights of Keras'."""
    from keras import layers

    return {
        "dense": (nn.Linear(300, 200), drawn(layers.Dense(200), 300)),
        "convolution": (nn.Conv2d(32, 64, 3), drawn(layers.Conv2D(64, 3), 9, 9, 32)),
        "oblong": (nn.Conv2d(48, 64, (5, 2)), drawn(layers.Conv2D(64, (5, 2)), 9, 9, 48)),
        "embedding": (nn.Embedding(2000, 32), drawn(layers.Embedding(2000, 32), 9)),
    }


@pytest.mark.parametrize("kind", ["dense", "convolution", "oblong", "embedding"])
def test_kernels_and_biases_are_drawn_as_keras(kind: str) -> None:
    module, (kernel, *bias) = pairs()[kind]
    our_kernel, *our_bias = ours(module).values()
    assert_same_distribution(our_kernel, kernel)
    assert_same_bounds(our_kernel, kernel)
    for our, their in zip(our_bias, bias, strict=True):
        np.testing.assert_array_equal(our, their)


@pytest.mark.parametrize("kind", ["dense", "convolution", "oblong", "embedding"])
def test_torchs_own_draw_is_seen(kind: str) -> None:
    module, (kernel, *_) = pairs()[kind]
    our_kernel, *_ = ours(module, lambda m: m.reset_parameters() if m is module else None).values()  # type: ignore[operator]
    with pytest.raises(AssertionError):
        assert_same_distribution(our_kernel, kernel)
    with pytest.raises(AssertionError):
        assert_same_bounds(our_kernel, kernel)


@pytest.mark.parametrize("cell", CELLS)
def test_every_layer_and_direction_of_a_cell_is_drawn_as_keras(cell: Cell) -> None:
    from keras import layers

    kind, gates = CELLS[cell]
    module = kind(I, H, num_layers=2, bidirectional=True)
    found = ours(module)
    places = ["layer0", "layer0_reverse", "layer1", "layer1_reverse"]
    assert len(found) == 3 * len(places)
    for place in places:
        inputs = I if place.startswith("layer0") else 2 * H  # the second layer reads both directions of the first
        kernel, recurrent, bias = drawn(getattr(layers, cell)(H), 9, inputs)
        assert kernel.shape == (inputs, gates * H)
        our_kernel, our_recurrent, our_bias = (
            found[f"layer/{place}/{name}"] for name in ("kernel", "recurrent_kernel", "bias")
        )
        assert_same_distribution(our_kernel, kernel)
        assert_same_bounds(our_kernel, kernel)
        for orthogonal in (our_recurrent, recurrent):  # (H, gates * H), one matrix over all gates
            # float32: rounding of sums of up to 512 products
            np.testing.assert_allclose(orthogonal @ orthogonal.T, np.eye(H), rtol=0, atol=1e-5)
        np.testing.assert_array_equal(our_bias, bias)
    assert len({found[f"layer/{place}/recurrent_kernel"].tobytes() for place in places}) == len(places)
    trained = sum(w.numel() for w in module.parameters() if w.requires_grad)
    layer = getattr(layers, cell)(H)
    stack = [layers.Bidirectional(layer), layers.Bidirectional(getattr(layers, cell)(H))]
    assert trained == sum(w.size for inputs, one in zip((I, 2 * H), stack, strict=True) for w in drawn(one, 9, inputs))


def test_orthogonal_kernels_are_spread_as_keras() -> None:
    """Without a rule for the signs, the diagonal of such a matrix is more often negative."""
    import keras

    theirs = [keras.ops.convert_to_numpy(keras.initializers.Orthogonal(seed=i)((8, 32))) for i in range(300)]
    our = [ours(nn.LSTM(3, 8))["layer/layer0/recurrent_kernel"] for _ in range(300)]
    for part in (np.ravel, np.diagonal):
        assert_same_distribution(np.array([part(w) for w in our]), np.array([part(w) for w in theirs]))
    unsigned = [np.linalg.qr(np.random.default_rng(i).standard_normal((32, 8)))[0].T for i in range(300)]
    with pytest.raises(AssertionError):
        assert_same_distribution(np.array([np.diagonal(w) for w in unsigned]), np.array([np.diagonal(w) for w in our]))
