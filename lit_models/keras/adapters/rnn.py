"""LitRNN in Keras.

Arrays in the order of Keras' `get_weights`:

- embeddings `(input_dim, output_dim)`;
- kernel `(inputs, gates * H)`, recurrent kernel `(H, gates * H)` and bias of each recurrent layer; in a Bidirectional,
  those of the forward layer come before those of the backward layer;
- kernel `(inputs, units)` and bias `(units,)` of each Dense.

Gates are i, f, c, o in an LSTM (torch: i, f, g, o, the same order) and z, r, h in a GRU (torch: r, z, n). SimpleRNN and
LSTM have one bias `(gates * H,)`, torch has two. A GRU has two, `(2, 3 * H)`. `rules/weights.py` converts all of them.
"""

from collections.abc import Iterator
from itertools import takewhile

from lit_models.keras.adapters.base import (
    Adapter,
    Settings,
    dense_layers,
    dropout_layers,
    first_rate,
    hidden_sizes,
    of_kind,
)
from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.layers import CELL_RATES, RECURRENT, Layer

CELLS = {"simple": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
"""Value of the setting `cell` -> Keras' layer."""


class RNNAdapter(Adapter):
    """An Embedding, recurrent layers of one kind, and Dense layers on the last state."""

    name = "LitRNN"
    marks = ("Embedding", "Bidirectional", *RECURRENT)
    built_of = "Embedding, SimpleRNN, LSTM or GRU with Dropout between, Dense with relu, Dropout, the output Dense"
    default_optimizer = "keras_rmsprop"

    def input_shape(self, settings: Settings) -> tuple[int | None, ...]:
        return (None,)

    def hidden_layers(self, settings: Settings, inputs: Layer) -> Iterator[Layer]:
        s = settings
        embedding = {"input_dim": s["vocab_size"], "output_dim": s["embedding_size"], "mask_zero": s["mask_padding"]}
        yield Layer("Embedding", embedding)
        sizes = [s["hidden_size"]] * s["num_layers"] + s["upper_sizes"]
        direction = {"bidirectional": True} if s["bidirectional"] else {}
        for i, size in enumerate(sizes):
            last = i == len(sizes) - 1
            cell = {"units": size, "return_sequences": not last, **dict.fromkeys(CELL_RATES, 0.0), **direction}
            yield Layer(CELLS[s["cell"]], cell)
            if not last:
                yield from dropout_layers(s["dropout"])
        yield from dense_layers(s["dense_sizes"], "relu", rate=0.0)
        yield from dropout_layers(s["dropout"])

    def settings_from(self, layers: list[Layer]) -> Settings:
        cells = [layer for layer in layers if layer.kind in RECURRENT]
        embeddings = of_kind(layers, "Embedding")
        if not cells or not embeddings:
            missing = "recurrent layer" if embeddings else "Embedding"
            raise KerasFileError(f"the model has no {missing}; {self.name} consists of {self.built_of}")
        sizes = [layer.settings["units"] for layer in cells]
        equal = len(list(takewhile(lambda size: size == sizes[0], sizes)))
        embedding = embeddings[0].settings
        return {
            "vocab_size": embedding["input_dim"],
            "cell": next(name for name, kind in CELLS.items() if kind == cells[0].kind),
            "embedding_size": embedding["output_dim"],
            "hidden_size": sizes[0],
            "num_layers": equal,
            "upper_sizes": sizes[equal:],
            "dense_sizes": hidden_sizes(layers),
            "bidirectional": "bidirectional" in cells[0].settings,
            "dropout": first_rate(layers),
            "mask_padding": embedding["mask_zero"],
            **({"padding_id": 0} if embedding["mask_zero"] else {}),
        }

    def export_refusal(self, settings: Settings) -> str | None:
        if settings["mask_padding"] and settings["padding_id"] != 0:
            return f"padding_id is {settings['padding_id']} with mask_padding, but Keras masks only token 0"
        return None
