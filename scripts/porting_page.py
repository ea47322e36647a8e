"""The tables of docs/porting.md, out of the results of `scripts/porting.py`; the text around them stays as it is."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from scripts.porting_summary import summary
from scripts.porting_tables import Results, bias, both, counts, dropout, imported, machine, split, stepped, trained, xor

BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", flags=re.DOTALL)


def write_page(results: Results, page: Path) -> Path:
    """Puts the tables between the page's markers; returns the page's path.

    Raises:
        ValueError: a marker names no table, or a table has no marker; names it.
    """
    text = page.read_text(encoding="utf-8")
    names = [match[2] for match in BLOCK.finditer(text)]
    for name in sorted(set(names) ^ set(TABLES)):
        raise ValueError(f"{page}: {'no marker for' if name in TABLES else 'there is no'} table {name!r}")
    page.write_text(BLOCK.sub(lambda m: f"{m[1]}{TABLES[m[2]](results)}\n{m[3]}", text), encoding="utf-8")
    return page


TABLES: dict[str, Callable[[Results], str]] = {
    "summary": summary,
    "import_cnn": partial(
        imported,
        measure="mnist",
        ways={
            "right": "kernels permuted, dense rows reordered",
            "flatten": "dense rows left in Keras' order",
            "reshape": "convolution kernels reshaped, not permuted",
        },
    ),
    "square": partial(
        imported,
        measure="simple",
        ways={"right": "every kernel transposed", "square": "square kernels copied as they are"},
    ),
    "gates": partial(
        imported,
        measure="gates",
        ways={
            "right": "gates reordered, both biases kept",
            "gate_order": "gates as they come",
            "one_bias": "gates reordered, biases added up into one",
        },
    ),
    "init": both(
        partial(trained, measure="mnist", ways={"keras": "Keras' start", "init": "torch's start"}),
        partial(
            trained,
            measure="simple",
            ways={
                "keras": "Keras' start",
                "init": "torch's start",
                "embedding": "Keras' start, but the embedding from N(0, 1) as torch has it",
            },
        ),
    ),
    "forget_bias": partial(
        trained, measure="gates/lstm", ways={"keras": "forget gates begin with 1", "forget_bias": "with 0"}
    ),
    "adam": both(
        partial(stepped, data="mnist", ways={"adam_epsilon": "epsilon beside the corrected root"}),
        partial(
            trained, measure="mnist", ways={"keras": "Keras' rule", "adam_epsilon": "`torch.optim.Adam(eps=1e-7)`"}
        ),
    ),
    "rmsprop": both(
        partial(
            stepped,
            data="imdb",
            ways={
                "rmsprop_epsilon": "rho 0.9, epsilon 1e-7 beside the root",
                "rmsprop_root_epsilon": "rho 0.9, epsilon 3.2e-4 beside the root",
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
    "bias": both(
        bias,
        partial(trained, measure="simple", ways={"keras": "one trained bias", "bias": "two trained biases"}),
    ),
    "softmax": partial(trained, measure="mnist", ways={"keras": "loss of logits", "softmax": "loss of probabilities"}),
    "xor": xor,
    "padding": both(
        partial(
            imported,
            measure="simple",
            ways={
                "right": "padded and cut in front",
                "behind": "padded behind",
                "cut_behind": "cut behind, padded in front",
            },
        ),
        partial(
            trained,
            measure="simple",
            ways={"keras": "trained and tested with padding in front", "behind": "trained and tested with it behind"},
        ),
    ),
    "ids": partial(
        imported, measure="simple", ways={"right": "a word is its rank + 3", "offset": "a word is its rank"}
    ),
    "images": partial(
        imported,
        measure="mnist",
        ways={
            "right": "0 to 1, as in training",
            "standardised": "less 0.1307, divided by 0.3081",
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
