"""LitKeras: trains the network of a Keras file, whatever its layers are. `import-keras FILE` makes its settings.

`keras/network.py` runs the layers, and `keras/layers` has one class for each layer of Keras.
"""

from typing import ClassVar

from lit_models.keras.network import KerasNetwork
from lit_models.tasks.task import LitTask


class LitKeras(LitTask, network=KerasNetwork):
    """A network from a Keras file: layers and connections of any kind."""

    accepts: ClassVar[frozenset[str]] = frozenset({"features", "images", "tokens"})
