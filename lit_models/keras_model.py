"""A network that came from a Keras file, whatever its layers are: `import-keras FILE` makes its config and weights.

Its layers are in `lit_models/keras/layers`, one class for each layer of Keras. `keras/network.py` runs them.
"""

from typing import ClassVar

from lit_models.keras.network import KerasNetwork
from lit_models.tasks.task import LitTask


class LitKeras(LitTask, network=KerasNetwork):
    """A network from a Keras file: layers and connections of any kind."""

    accepts: ClassVar[frozenset[str]] = frozenset({"features", "images", "tokens"})
