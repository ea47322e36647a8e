"""What each mistake of a port costs: measurements on real data, the right way and the wrong ones in one run.

Trained ways have the same start (unless the start is the mistake) and the same batches. Imported ways have the same
trained weights, which Keras itself evaluates too. Which samples, how many epochs and which seeds stands in constants
here and in `porting_training.py`; nothing was chosen by a test part.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scripts.porting_imports import import_cnn, import_gru, import_simple
from scripts.porting_training import (
    CNN_WAYS,
    KERAS_RNN,
    LSTM_WAYS,
    RNN_WAYS,
    Parts,
    Samples,
    Way,
    accuracy,
    images,
    logits_of,
    nudge,
    reviews,
    right,
    sorted_by_class,
    start,
    train,
)
from tests.parity.originals import XOR_INPUTS, XOR_TARGET, NumpyXOR

Numbers = dict[str, Any]
STEPS = 50
XOR_PASSES = 40_000  # the numpy program makes 10,000; a slower way may need more


def mnist(seed: int) -> Numbers:
    """Ways to train the CNN for an epoch, ways to import it, ways to count."""
    parts = images()
    found: Numbers = {}
    trained: dict[str, nn.Module] = {}
    for name, way in CNN_WAYS.items():
        trained[name] = start("cnn", seed=seed)
        loss = train(trained[name], way, parts.train, data="mnist", seed=seed)
        found[name] = {"loss": loss, "test": accuracy(trained[name], parts.test)}
    dropping = start("cnn", seed=seed, dropout=0.5)
    train(dropping, CNN_WAYS["keras"], parts.train, data="mnist", seed=seed)
    noisy = right(logits_of(dropping.train(), parts.test[0]), parts.test[1]).double().mean().item()
    found["dropout"] = {"test": accuracy(dropping, parts.test), "left_on": noisy}
    found["import"] = import_cnn(trained["keras"], parts.test)
    found["count"] = count(trained["keras"], parts.test)
    return found


def count(network: nn.Module, test: Samples) -> Numbers:
    """Ways to report one network's test result, in batches of 64: 156 whole ones, and 16 samples."""
    logits = logits_of(network.eval(), test[0])
    losses, hits = F.cross_entropy(logits, test[1], reduction="none").double(), right(logits, test[1]).double()
    whole = len(hits) // 64 * 64
    batches = [torch.split(numbers, 64) for numbers in (losses, hits)]
    means = [torch.stack([batch.mean() for batch in each]).mean().item() for each in batches]
    return {
        "samples": {"loss": losses.mean().item(), "acc": hits.mean().item()},
        "mean_of_batches": {"loss": means[0], "acc": means[1]},
        "last_dropped": {"loss": losses[:whole].mean().item(), "acc": hits[:whole].mean().item()},
    }


def simple(seed: int) -> Numbers:
    """Ways to train the SimpleRNN, and to import it."""
    parts, filed = reviews(), reviews(by_file=True)
    found, network = recurrent_ways("simple", RNN_WAYS, seed=seed, parts=parts, filed=filed)
    return {**found, "import": import_simple(network, parts.test)}


def recurrent_ways(
    cell: str, ways: dict[str, Way], *, seed: int, parts: Parts, filed: Parts
) -> tuple[Numbers, nn.Module]:
    """Losses and accuracies of each way, and the network that was trained by Keras' own."""
    found: Numbers = {}
    keras = start(cell, seed=seed)
    for name, way in ways.items():
        network = keras if name == "keras" else start(cell, seed=seed)
        mine = filed if way.by_file else parts
        samples = mine.train if way.shuffle else sorted_by_class(mine.train)
        loss = train(network, way, samples, data="imdb", seed=seed)
        assert mine.val is not None
        val, test = (accuracy(network, (way.inputs(x), y)) for x, y in (mine.val, mine.test))
        positive = mine.val[1].double().mean().item()
        found[name] = {"loss": loss, "val": val, "test": test, "positive_in_val": positive}
    return found, keras


def gates(seed: int) -> Numbers:
    """The forget gate's bias of an LSTM, and ways to import a GRU."""
    parts = reviews()
    lstm, _ = recurrent_ways("lstm", LSTM_WAYS, seed=seed, parts=parts, filed=parts)
    gru, network = recurrent_ways("gru", {"keras": KERAS_RNN()}, seed=seed, parts=parts, filed=parts)
    return {"lstm": lstm, "gru": gru, "import": import_gru(network, parts.test)}


def steps(seed: int) -> Numbers:
    """How far weights are from Keras' after some steps in float64, relative to their own way from the start."""
    found: Numbers = {}
    for data, cell, samples, ways in (
        ("mnist", "cnn", images().train, CNN_WAYS),
        ("imdb", "simple", reviews().train, RNN_WAYS),
    ):
        after = partial(moved, cell, samples=samples, data=data, seed=seed)
        keras = after(ways["keras"])
        wrong = ("adam_epsilon",) if cell == "cnn" else ("rho", "rmsprop_epsilon", "rmsprop_root_epsilon", "bias")
        changes = {name: after(ways[name]) for name in wrong} | {"float32": after(ways["keras"], dtype=torch.float32)}
        found[data] = {name: ((change - keras).norm() / keras.norm()).item() for name, change in changes.items()}
    for number in (1, STEPS):
        one, two = (
            moved("simple", way, samples=reviews().train, data="imdb", seed=seed, steps=number, only="bias")
            for way in (RNN_WAYS["keras"], RNN_WAYS["bias"])
        )
        found[f"bias_ratio_{number}"] = (two.norm() / one.norm()).item()
    return found


def moved(
    cell: str,
    way: Way,
    *,
    samples: Samples,
    data: str,
    seed: int,
    steps: int = STEPS,
    dtype: torch.dtype = torch.float64,
    only: str = "",
) -> Tensor:
    """Change of all weights after some steps, or of those whose name has `only` in it; two biases count as their
    sum."""
    network = start(cell, seed=seed).to(dtype)
    before = vector(network, only=only)
    train(network, way, samples, data=data, seed=seed, steps=steps)
    return vector(network, only=only) - before


def vector(network: nn.Module, *, only: str = "") -> Tensor:
    """Weights as one float64 vector, an RNN's two biases as their sum."""
    named = dict(network.named_parameters())
    parts = []
    for name, weight in named.items():
        if "bias_hh" in name or (only and f"cells.{only}" not in name):
            continue
        second = named.get(name.replace("bias_ih", "bias_hh")) if "bias_ih" in name else None
        parts.append((weight if second is None else weight + second).detach().double().flatten())
    return torch.cat(parts)


def nudged(seed: int) -> Numbers:
    """Keras' way from a start that is a millionth away: how far trainings part without a mistake."""
    pictures, texts = images(), reviews()
    cnn = start("cnn", seed=seed)
    loss = train(cnn, replace(CNN_WAYS["keras"], change=nudge), pictures.train, data="mnist", seed=seed)
    found: Numbers = {"mnist": {"loss": loss, "test": accuracy(cnn, pictures.test)}}
    for cell in ("simple", "lstm"):
        ways = {"nudged": KERAS_RNN(change=nudge)}
        found[cell] = recurrent_ways(cell, ways, seed=seed, parts=texts, filed=texts)[0]["nudged"]
    return found


def xor(seed: int) -> Numbers:
    """Passes until every output is within 0.1, with the summed loss of the numpy program and with a mean."""
    x, y = torch.from_numpy(XOR_INPUTS), torch.from_numpy(XOR_TARGET)
    losses: dict[str, Callable[[Tensor], Tensor]] = {
        "sum": lambda out: (out - y).square().sum() / 2,
        "mean": lambda out: F.mse_loss(out, y),
    }
    return {name: passes_needed(NumpyXOR.drawn(seed), loss, x, y) for name, loss in losses.items()}


def passes_needed(begun: NumpyXOR, loss: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> int | None:
    """Passes of gradient descent at rate 0.1 from a start; None if `XOR_PASSES` are too few."""
    w1, b1, w2, b2 = weights = [torch.from_numpy(a).requires_grad_() for a in begun.weights()]
    for done in range(XOR_PASSES):
        out = ((x @ w1 + b1).sigmoid() @ w2 + b2).sigmoid()
        if (out - y).abs().max() < 0.1:
            return done
        gradients = torch.autograd.grad(loss(out), weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight -= 0.1 * gradient
    return None


MEASURES: dict[str, Callable[[int], Numbers]] = {
    "mnist": mnist,
    "simple": simple,
    "gates": gates,
    "steps": steps,
    "xor": xor,
    "nudged": nudged,
}
