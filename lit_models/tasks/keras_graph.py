"""LitKeras: trains the network of a Keras file, whatever its layers are. `import-keras FILE` makes its settings.

`keras/network.py` runs the layers, and `keras/layers` has one class for each layer of Keras.
"""

from typing import Any, ClassVar, cast

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from lit_models.keras.limiting import Limits
from lit_models.keras.network import KerasNetwork
from lit_models.keras.rules.keras_optimizer import KerasOptimizer
from lit_models.tasks.task import LitTask


class LitKeras(LitTask, network=KerasNetwork):
    """A network from a Keras file: layers and connections of any kind."""

    accepts: ClassVar[frozenset[str]] = frozenset({"features", "images", "tokens"})
    limits: Limits

    def on_network_built(self) -> None:
        self.limits = Limits(cast(KerasNetwork, self.network))

    def penalty(self) -> Tensor | None:
        """The penalties on weights and on outputs of layers, which Keras calls regularizers."""
        return self.limits.penalty()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer, after whose steps the constraints of weights are applied."""
        configured = super().configure_optimizers()
        optimizer: Any = configured[0][0] if isinstance(configured, tuple | list) else configured
        if isinstance(optimizer, KerasOptimizer):
            network = cast(KerasNetwork, self.network)
            optimizer.join([w for w in network.variables() if len(w) > 1])
        optimizer.register_step_post_hook(lambda *_: self.limits.constrain())
        return configured
