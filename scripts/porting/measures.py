"""Measures what each mistake in a port costs on real data, compared with the correct way.

All ways to train in one measurement use the same batches, and the same initial weights unless these are the mistake.
All imports have the same trained weights, which Keras evaluates too. The numbers of samples, epochs and steps are
constants here and in `training.py`. None was chosen on a test part.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scripts.porting.imports import import_cnn, import_gru, import_simple
from scripts.porting.training import (
    CNN_WAYS,
    KERAS_RNN,
    LSTM_WAYS,
    RNN_WAYS,
    Cell,
    Parts,
    Samples,
    Way,
    accuracy,
    images,
    initial_network,
    is_correct,
    nudge,
    predict_logits,
    reviews,
    sorted_by_class,
    train,
)
from tests.parity.originals import XOR_INPUTS, XOR_TARGET, NumpyXOR

Numbers = dict[str, Any]
STEPS = 50
XOR_PASSES = 40_000  # the numpy program makes 10,000; a slower way can need more


def mnist(seed: int) -> Numbers:
    """Results of each way to train the CNN for one epoch, to import it, and to average its metrics."""
    parts = images()
    numbers: Numbers = {}
    trained: dict[str, nn.Module] = {}
    for name, way in CNN_WAYS.items():
        trained[name] = initial_network("cnn", seed=seed)
        loss = train(trained[name], way, parts.train, data="mnist", seed=seed)
        numbers[name] = {"loss": loss, "test": accuracy(trained[name], parts.test)}
    dropping = initial_network("cnn", seed=seed, dropout=0.5)
    train(dropping, CNN_WAYS["keras"], parts.train, data="mnist", seed=seed)
    noisy = is_correct(predict_logits(dropping.train(), parts.test[0]), parts.test[1]).double().mean().item()
    numbers["dropout"] = {"test": accuracy(dropping, parts.test), "left_on": noisy}
    numbers["import"] = import_cnn(trained["keras"], parts.test)
    numbers["count"] = averages(trained["keras"], parts.test)
    return numbers


def averages(network: nn.Module, test: Samples) -> Numbers:
    """Ways to average one network's test metrics over batches of 64 samples. The last batch can be smaller."""
    logits = predict_logits(network.eval(), test[0])
    losses, hits = F.cross_entropy(logits, test[1], reduction="none").double(), is_correct(logits, test[1]).double()
    whole = len(hits) // 64 * 64
    batches = [torch.split(values, 64) for values in (losses, hits)]
    means = [torch.stack([batch.mean() for batch in each]).mean().item() for each in batches]
    return {
        "samples": {"loss": losses.mean().item(), "acc": hits.mean().item()},
        "mean_of_batches": {"loss": means[0], "acc": means[1]},
        "last_dropped": {"loss": losses[:whole].mean().item(), "acc": hits[:whole].mean().item()},
    }


def simple(seed: int) -> Numbers:
    """Results of each way to train the SimpleRNN and to import it."""
    parts, filed = reviews(), reviews(by_file=True)
    numbers, network = recurrent_ways("simple", RNN_WAYS, seed=seed, parts=parts, filed=filed)
    return {**numbers, "import": import_simple(network, parts.test)}


def recurrent_ways(
    cell: Cell, ways: dict[str, Way], *, seed: int, parts: Parts, filed: Parts
) -> tuple[Numbers, nn.Module]:
    """Loss and accuracies of each way, and the network that was trained as in Keras."""
    numbers: Numbers = {}
    keras = initial_network(cell, seed=seed)
    for name, way in ways.items():
        network = keras if name == "keras" else initial_network(cell, seed=seed)
        used = filed if way.by_file else parts
        samples = used.train if way.shuffle else sorted_by_class(used.train)
        loss = train(network, way, samples, data="imdb", seed=seed)
        assert used.val is not None
        val, test = (accuracy(network, (way.inputs(x), y)) for x, y in (used.val, used.test))
        positive = used.val[1].double().mean().item()
        numbers[name] = {"loss": loss, "val": val, "test": test, "positive_in_val": positive}
    return numbers, keras


def gates(seed: int) -> Numbers:
    """Results for the bias of an LSTM's forget gates, and of each way to import a GRU."""
    parts = reviews()
    lstm, _ = recurrent_ways("lstm", LSTM_WAYS, seed=seed, parts=parts, filed=parts)
    gru, network = recurrent_ways("gru", {"keras": KERAS_RNN()}, seed=seed, parts=parts, filed=parts)
    return {"lstm": lstm, "gru": gru, "import": import_gru(network, parts.test)}


def steps(seed: int) -> Numbers:
    """How far the weights are from Keras' after 50 steps in float64, relative to the distance that they moved."""
    numbers: Numbers = {}
    networks: tuple[tuple[str, Cell, Samples, dict[str, Way]], ...] = (
        ("mnist", "cnn", images().train, CNN_WAYS),
        ("imdb", "simple", reviews().train, RNN_WAYS),
    )
    for data, cell, samples, ways in networks:
        after = partial(weight_change, cell, samples=samples, data=data, seed=seed)
        keras = after(ways["keras"])
        wrong = ("adam_epsilon",) if cell == "cnn" else ("rho", "rmsprop_epsilon", "rmsprop_root_epsilon", "bias")
        changes = {name: after(ways[name]) for name in wrong} | {"float32": after(ways["keras"], dtype=torch.float32)}
        numbers[data] = {name: ((change - keras).norm() / keras.norm()).item() for name, change in changes.items()}
    for number in (1, STEPS):
        one, two = (
            weight_change("simple", way, samples=reviews().train, data="imdb", seed=seed, steps=number, only="bias")
            for way in (RNN_WAYS["keras"], RNN_WAYS["bias"])
        )
        numbers[f"bias_ratio_{number}"] = (two.norm() / one.norm()).item()
    return numbers


def weight_change(
    cell: Cell,
    way: Way,
    *,
    samples: Samples,
    data: str,
    seed: int,
    steps: int = STEPS,
    dtype: torch.dtype = torch.float64,
    only: str = "",
) -> Tensor:
    """Change of all weights after some steps, or of the weights of `cells` whose name starts with `only`. Two biases
    are added."""
    network = initial_network(cell, seed=seed).to(dtype)
    before = vector(network, only=only)
    train(network, way, samples, data=data, seed=seed, steps=steps)
    return vector(network, only=only) - before


def vector(network: nn.Module, *, only: str = "") -> Tensor:
    """Weights as one float64 vector. An RNN's two biases are added."""
    named = dict(network.named_parameters())
    parts = []
    for name, weight in named.items():
        if "bias_hh" in name or (only and f"cells.{only}" not in name):
            continue
        second = named.get(name.replace("bias_ih", "bias_hh")) if "bias_ih" in name else None
        parts.append((weight if second is None else weight + second).detach().double().flatten())
    return torch.cat(parts)


def nudged(seed: int) -> Numbers:
    """Results of the correct way after a change of 1e-6 in the initial weights: they differ without a mistake."""
    mnist_parts, imdb_parts = images(), reviews()
    cnn = initial_network("cnn", seed=seed)
    loss = train(cnn, replace(CNN_WAYS["keras"], change=nudge), mnist_parts.train, data="mnist", seed=seed)
    numbers: Numbers = {"mnist": {"loss": loss, "test": accuracy(cnn, mnist_parts.test)}}
    for cell in ("simple", "lstm"):
        ways = {"nudged": KERAS_RNN(change=nudge)}
        numbers[cell] = recurrent_ways(cell, ways, seed=seed, parts=imdb_parts, filed=imdb_parts)[0]["nudged"]
    return numbers


def xor(seed: int) -> Numbers:
    """Passes until every output is within 0.1 of its target, with the numpy program's summed loss and with a mean."""
    x, y = torch.from_numpy(XOR_INPUTS), torch.from_numpy(XOR_TARGET)
    losses: dict[str, Callable[[Tensor], Tensor]] = {
        "sum": lambda out: (out - y).square().sum() / 2,
        "mean": lambda out: F.mse_loss(out, y),
    }
    return {name: passes_needed(NumpyXOR.drawn(seed), loss, x, y) for name, loss in losses.items()}


def passes_needed(initial: NumpyXOR, loss: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> int | None:
    """Passes of gradient descent with learning rate 0.1; None if `XOR_PASSES` are not enough."""
    w1, b1, w2, b2 = weights = [torch.from_numpy(a).requires_grad_() for a in initial.weights()]
    for passes in range(XOR_PASSES):
        out = ((x @ w1 + b1).sigmoid() @ w2 + b2).sigmoid()
        if (out - y).abs().max() < 0.1:
            return passes
        gradients = torch.autograd.grad(loss(out), weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight -= 0.1 * gradient
    return None


FUNCTIONS: dict[str, Callable[[int], Numbers]] = {
    "mnist": mnist,
    "simple": simple,
    "gates": gates,
    "steps": steps,
    "xor": xor,
    "nudged": nudged,
}
