"""Removes layers that are not needed here: activations become settings; input rescaling and reshaping are dropped."""

import math

from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.layers import Layer


def simplified(layers: list[Layer]) -> tuple[list[Layer], list[str]]:
    """The layers without those that are not needed here, and notes about what is left out.

    An activation layer becomes the activation of the layer that it follows.

    Raises:
        KerasFileError: such a layer is in a place where it changes the outputs.
    """
    kept = [Layer("InputLayer", {"batch_shape": (None, *layers[0].settings["batch_shape"][1:])}, layers[0].name)]
    notes: list[str] = []
    for i, layer in enumerate(layers[1:], start=1):
        before, first = kept[-1], len(kept) == 1
        shape = kept[0].settings["batch_shape"][1:]
        if layer.kind in ("Activation", "ReLU", "Softmax"):
            if before.settings.get("activation") != "linear":
                raise KerasFileError(f"{layer} does not follow a Dense or Conv2D layer that is linear")
            name = layer.settings.get("activation", layer.kind.lower())
            kept[-1] = before._replace(settings={**before.settings, "activation": name})
        elif layer.kind == "Rescaling":
            if not (first and len(shape) > 1 and abs(layer.settings["scale"] * 255 - 1) <= 1e-6):
                raise KerasFileError(f"{layer} is supported only at the input of images, to scale 0…255 to 0…1")
            notes.append(f"{layer} is left out: images are scaled to 0…1 here already")
        elif layer.kind == "Reshape":
            kept = reshaped(kept, layer, layers[i + 1 :])
        elif not (layer.settings.get("rate") == 0 or (layer.kind == "Flatten" and first and len(shape) == 1)):
            kept.append(layer)
    return kept, notes


def reshaped(kept: list[Layer], layer: Layer, after: list[Layer]) -> list[Layer]:
    """The layers after a Reshape of the input.

    A Reshape to one row is a Flatten. A Reshape to an image is the input shape if a Conv2D comes after it, and
    changes nothing if a Flatten comes directly after it.

    Raises:
        KerasFileError: any other Reshape.
    """
    old, new = kept[0].settings["batch_shape"][1:], layer.settings["target_shape"]
    if len(kept) == 1 and None not in old and math.prod(old) == math.prod(new):
        if len(new) == 1:
            return kept if len(old) == 1 else [*kept, Layer("Flatten", {}, layer.name)]
        if after and after[0].kind == "Flatten":
            return kept
        if any(other.kind == "Conv2D" for other in after) and (len(old) == 1 or new == (*old, 1)):
            return [kept[0]._replace(settings={"batch_shape": (None, *new)})]
    raise KerasFileError(
        f"{layer} has target_shape {new}; only a Reshape of the input to one row or to an image is supported"
    )
