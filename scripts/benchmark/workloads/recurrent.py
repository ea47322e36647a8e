"""SimpleRNN, LSTM and GRU on IMDB, and the cost of the padding in front of a review."""

from collections.abc import Mapping
from typing import Any

from scripts.benchmark.arithmetic import rnn_epoch
from scripts.benchmark.cells import BOTH, OURS, Entry, Target, Workload
from scripts.benchmark.entries import KERAS, keras, lightnings_share, our_loop, ours

SETTINGS = {"batch_size": 128, "epochs": 2, "test_weights": "none"}
LAYERS = ("torch-layers", "torch-layers-tuned")
TEXT = (
    "Two {name}(32) layers over 500 tokens, padded at the front; 20,000 reviews in batches of 128, RMSprop, and 5,000 "
    "reviews of validation in each epoch. The accuracy is that of the validation part."
)


def workload(
    name: str,
    place: int,
    network: str,
    gates: int,
    targets: tuple[Target, ...],
    *,
    seconds: Mapping[str, float],
    most: Mapping[str, int],
) -> Workload:
    """One kind of layer, by its name in Keras and in `network`; a cell has as many products as `gates`.

    Args:
        seconds: seconds of the work of each rival on two cores.
        most: maximum number of repetitions of rivals that decide no target.
    """
    return Workload(
        name=f"rnn-{network}",
        place=place,
        title=f"IMDB: {name}",
        text=TEXT.format(name=name),
        entries=(
            *ours(work=seconds[OURS], plain_work=seconds["plain"]),
            *keras(network, seconds, most, all_backends=False),
            layers(network, "torch-layers", seconds["layers"], most.get("layers", 1000)),
            layers(network, "torch-layers-tuned", seconds["tuned"]),
            *([our_loop(network, work=5)] if network == "simple" else []),
        ),
        targets=targets,
        settings={"config": f"imdb_{network.replace('simple', 'rnn')}", **SETTINGS},
        short={"batches": 20, "val_batches": 5},
        short_share=0.13,
        needs="imdb",
        prepares=("imdb", "layers"),
        flops=rnn_epoch(gates),
        training_epochs=10,
        devices=BOTH,
    )


def layers(network: str, name: str, work: float, most: int = 1000) -> Entry:
    """PyTorch's own layers; tuned: with memory that stays with the process."""
    options: dict[str, Any] = {"network": network, "tuned": name.endswith("tuned")}
    return Entry(name, "torch_layers", options, start=3, work=work, most=most)


def faster(times: float, of: str, against: tuple[str, ...], reach: str = "") -> Target:
    """A target beside rivals of the same workload."""
    return Target(f"{times:g} times as fast as {of}", "faster", times, against, reach=reach)


WORKLOADS = [
    workload(
        "SimpleRNN",
        3,
        "simple",
        1,
        (
            faster(4, "the best Keras backend", KERAS, "10 times"),
            faster(4, "`nn.RNN`", LAYERS, "10 times"),
            lightnings_share(1.05),
            Target("5 times as fast as the best Keras backend", "faster", 5, KERAS, devices=("cuda",)),
        ),
        seconds={OURS: 8, "plain": 66, "tensorflow": 40, "jax": 34, "torch": 200, "layers": 42, "tuned": 32},
        most={"tensorflow": 2, "layers": 2},
    ),
    workload(
        "LSTM",
        4,
        "lstm",
        4,
        (faster(3, "the best Keras backend", KERAS, "6 times"), faster(2, "`nn.LSTM`, memory kept", LAYERS[1:])),
        seconds={OURS: 20, "plain": 57, "tensorflow": 77, "jax": 75, "torch": 400, "layers": 67, "tuned": 42},
        most={"tensorflow": 2, "layers": 2},
    ),
    workload(
        "GRU",
        5,
        "gru",
        3,
        (faster(3, "the best Keras backend", KERAS, "6 times"), faster(2, "`nn.GRU`, memory kept", LAYERS[1:])),
        seconds={OURS: 18, "plain": 190, "tensorflow": 80, "jax": 80, "torch": 400, "layers": 70, "tuned": 60},
        most={"tensorflow": 2, "layers": 2},
    ),
    Workload(
        name="padding",
        place=6,
        title="IMDB: padding in front of a review",
        text=(
            "A training step on real batches of 128 reviews, padded at the front to 500 tokens, divided by a step on "
            "the same number of real tokens without padding. The gradients are compared with those of PyTorch's layers."
        ),
        entries=tuple(
            Entry(name, "padding", {"network": network}, start=5, work=work)
            for name, network, work in (("SimpleRNN", "simple", 3), ("LSTM", "lstm", 6), ("GRU", "gru", 6))
        ),
        targets=(
            Target(
                "SimpleRNN: at most 1.1 times the real tokens alone",
                "below",
                1.1,
                figure="cost",
                reach="1.0 times",
                of=("SimpleRNN",),
            ),
            Target("LSTM: the same", "below", 1.1, figure="cost", reach="1.0 times", of=("LSTM",)),
            Target("GRU: the same", "below", 1.1, figure="cost", reach="1.0 times", of=("GRU",)),
            Target(
                "gradients of SimpleRNN equal within 1e-5",
                "below",
                1e-5,
                figure="gradient_difference",
                of=("SimpleRNN",),
            ),
            Target("gradients of LSTM the same", "below", 1e-5, figure="gradient_difference", of=("LSTM",)),
            Target("gradients of GRU the same", "below", 1e-5, figure="gradient_difference", of=("GRU",)),
        ),
        settings={"batch_size": 128, "batches": 4, "val_batches": 1, "rounds": 5},
        short={"rounds": 2},
        short_share=0.4,
        needs="imdb",
        prepares=("imdb", "layers"),
        figure="cost",
        unit="cost of the padding, times",
    ),
]
