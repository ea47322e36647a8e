"""The regularizers and constraints of a layer in a Keras file, as plain data."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lit_models.keras.files.chain import SavedLayer
from lit_models.keras.files.layers import plain
from lit_models.keras.rules.limits import CONSTRAINTS, REGULARIZERS, SHORT_NAMES, takes

KINDS = {"_regularizer": ("penalties", REGULARIZERS), "_constraint": ("constraints", CONSTRAINTS)}
ARRAYS = {"recurrent": "recurrent_kernel", "depthwise": "depthwise_kernel", "pointwise": "pointwise_kernel"}
"""Keras' words for an array in the names of settings, and the name of the array."""
ACTIVITY = "activity"
"""Stands for the outputs of a layer."""
NO_ACTIVITY = ("MultiHeadAttention", "GroupQueryAttention", "Bidirectional", "TimeDistributed")
"""Layers that count the outputs of the layers inside them too."""


class Limits(NamedTuple):
    """What a layer has.

    Args:
        settings: "penalties" and "constraints" of its arrays by name, as in `network`; only those that it has.
        dropped: those that do not exist here, such as `kernel_regularizer MyPenalty`.
    """

    settings: dict[str, dict[str, dict[str, Any]]]
    dropped: list[str]


def limits_of(saved: SavedLayer) -> Limits:
    """The regularizers and constraints of a layer, and of the layer inside it."""
    settings: dict[str, dict[str, dict[str, Any]]] = {}
    dropped = []
    for key, value in named_limits(saved):
        suffix = next(end for end in KINDS if key.endswith(end))
        name, (group, kinds) = key.removesuffix(suffix), KINDS[suffix]
        given = plain_limit(value)
        if given is None or not takes(kinds, given) or (name == ACTIVITY and saved.kind in NO_ACTIVITY):
            dropped.append(f"{key} {plain(value)}")
            continue
        array = "kernel" if saved.kind.startswith("Depthwise") and name == "depthwise" else ARRAYS.get(name, name)
        settings.setdefault(group, {})[array] = given
    return Limits(settings, dropped)


def named_limits(saved: SavedLayer) -> Iterator[tuple[str, Any]]:
    """The settings that are regularizers or constraints, and those of the layer inside."""
    inner = saved.config.get("layer")
    configs = [saved.config, *([inner["config"]] if isinstance(inner, Mapping) else [])]
    for config in configs:
        yield from ((key, value) for key, value in config.items() if value and key.endswith(tuple(KINDS)))


def plain_limit(value: Any) -> dict[str, Any] | None:
    """A regularizer or a constraint as plain data; None if it is not Keras' own."""
    if isinstance(value, str):
        return {"kind": SHORT_NAMES.get(value, value)}
    if not isinstance(value, Mapping) or not isinstance(value.get("config"), Mapping):
        return None
    kind, module = value.get("class_name"), value.get("module")
    if value.get("registered_name") not in (None, kind) or (module and str(module).split(".")[0] != "keras"):
        return None
    return {"kind": kind, **value["config"]}
