"""Writes the tables of docs/porting.md from the results of `python -m scripts.porting`. The text is left unchanged."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from scripts.porting.summary import summary
from scripts.porting.tables import (
    Results,
    bias,
    counts,
    dropout,
    imported,
    machine,
    split,
    stacked,
    stepped,
    trained,
    xor,
)

BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", flags=re.DOTALL)


def write_page(results: Results, page: Path) -> Path:
    """Writes the tables between the page's markers. Returns the page's path.

    Raises:
        ValueError: a marker has no table, or a table has no marker.
    """
    text = page.read_text(encoding="utf-8")
    names = [match[2] for match in BLOCK.finditer(text)]
    if unknown := sorted(set(names) - set(TABLES)):
        raise ValueError(f"unknown table {unknown[0]!r} in {page}; choose from {', '.join(TABLES)}")
    if missing := sorted(set(TABLES) - set(names)):
        raise ValueError(f"no marker for table {missing[0]!r} in {page}; add <!-- table: {missing[0]} -->")
    page.write_text(BLOCK.sub(lambda m: f"{m[1]}{TABLES[m[2]](results)}\n{m[3]}", text), encoding="utf-8")
    return page


TABLES: dict[str, Callable[[Results], str]] = {
    "summary": summary,
    "import_cnn": partial(
        imported,
        measure="mnist",
        ways={
            "right": "kernels permuted, dense rows reordered",
            "flatten": "dense rows in Keras' order",
            "reshape": "convolution kernels reshaped instead of permuted",
        },
    ),
    "square": partial(
        imported,
        measure="simple",
        ways={"right": "every kernel transposed", "square": "square kernels not transposed"},
    ),
    "gates": partial(
        imported,
        measure="gates",
        ways={
            "right": "gates reordered, both biases kept",
            "gate_order": "gates in Keras' order",
            "one_bias": "gates reordered, biases added into one",
        },
    ),
    "init": stacked(
        partial(
            trained, measure="mnist", ways={"keras": "Keras' initial weights", "init": "PyTorch's initial weights"}
        ),
        partial(
            trained,
            measure="simple",
            ways={
                "keras": "Keras' initial weights",
                "init": "PyTorch's initial weights",
                "embedding": "Keras' initial weights, but the embedding from N(0, 1) as in PyTorch",
            },
        ),
    ),
    "forget_bias": partial(
        trained,
        measure="gates/lstm",
        ways={"keras": "initial forget gate bias 1", "forget_bias": "initial forget gate bias 0"},
    ),
    "adam": stacked(
        partial(stepped, data="mnist", ways={"adam_epsilon": "epsilon added after the correction"}),
        partial(
            trained, measure="mnist", ways={"keras": "Keras' rule", "adam_epsilon": "`torch.optim.Adam(eps=1e-7)`"}
        ),
    ),
    "rmsprop": stacked(
        partial(
            stepped,
            data="imdb",
            ways={
                "rmsprop_epsilon": "rho 0.9, epsilon 1e-7 outside the root",
                "rmsprop_root_epsilon": "rho 0.9, epsilon 3.2e-4 outside the root",
                "rho": "rho 0.99, epsilon inside the root",
            },
        ),
        partial(
            trained,
            measure="simple",
            ways={
                "keras": "Keras' rule",
                "rmsprop_epsilon": "`RMSprop(lr=1e-3, alpha=0.9, eps=1e-7)`",
                "rmsprop_root_epsilon": "`RMSprop(lr=1e-3, alpha=0.9, eps=1e-7**0.5)`",
                "rho": "Keras' rule with rho 0.99",
                "rmsprop_defaults": "`torch.optim.RMSprop()` with its defaults",
            },
        ),
    ),
    "bias": stacked(
        bias,
        partial(trained, measure="simple", ways={"keras": "one trained bias", "bias": "two trained biases"}),
    ),
    "softmax": partial(
        trained, measure="mnist", ways={"keras": "loss of logits", "softmax": "loss of softmax outputs"}
    ),
    "xor": xor,
    "padding": stacked(
        partial(
            imported,
            measure="simple",
            ways={
                "right": "padded and truncated at the front",
                "behind": "padded at the end",
                "cut_behind": "truncated at the end, padded at the front",
            },
        ),
        partial(
            trained,
            measure="simple",
            ways={
                "keras": "trained and tested with padding at the front",
                "behind": "trained and tested with padding at the end",
            },
        ),
    ),
    "ids": partial(
        imported, measure="simple", ways={"right": "a word's id is its rank + 3", "offset": "a word's id is its rank"}
    ),
    "images": partial(
        imported,
        measure="mnist",
        ways={
            "right": "0 to 1, as in training",
            "standardised": "minus 0.1307, divided by 0.3081",
            "unscaled": "0 to 255",
        },
    ),
    "split": split,
    "shuffle": partial(
        trained,
        measure="simple",
        ways={"keras": "shuffled in each epoch", "unshuffled": "in the order of the files: negative, then positive"},
    ),
    "dropout": dropout,
    "counts": counts,
    "machine": machine,
}
