"""The network of a Keras model: layers, and which of them reads what, given as plain data.

A graph is a list of calls in computing order. Each call is a mapping:

- `name`: its own name;
- `kind` and `settings`: the layer, as in `layers.LAYERS`; or `layer`, the name of an earlier call of the same layer;
- `reads`: the names of the calls whose outputs it reads; `name:1` is the second output of a layer with several;
- `mask`: optional; the call whose output is the mask of what it reads;
- `trainable`: optional; false if its weights are frozen;
- `penalties` and `constraints`: optional; those of its arrays by name, and of its outputs as `activity`, each with its
  `kind` and settings, as in `rules.limits`.

The first calls are of the kind InputLayer; their setting `shape` is that of a sample, with the channel last.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from datamodules.errors import UserError
from lit_models.keras.layers import KerasLayer, Mask, Shape, build_layer
from lit_models.keras.operations import Operation
from lit_models.keras.rules.weights import KerasArray

Graph = list[dict[str, Any]]
EXAMPLE_LENGTH = 96
"""What stands for a length that differs from batch to batch, while the sizes of the layers are computed."""
INPUT = "InputLayer"


class KerasNetwork(nn.Module):
    """Runs the layers of a Keras model.

    Args:
        graph: the calls of the layers, as plain data.
        outputs: the call whose output is that of the network.
        num_outputs: numbers in an output. If the graph has two, and this is 1, the network returns their difference:
            the logit of the second of two classes.
        input_scale: factor of the inputs; 255 if the graph reads pixels of 0 to 255.

    Raises:
        UserError: a layer cannot be built; names it.
    """

    def __init__(self, graph: Graph, *, outputs: str, num_outputs: int = 1, input_scale: float = 1.0) -> None:
        super().__init__()
        self.graph, self.result, self.num_outputs, self.input_scale = graph, outputs, num_outputs, input_scale
        self.layers = nn.ModuleDict()
        self.inputs: dict[str, Shape] = {
            call["name"]: tuple(call["settings"]["shape"]) for call in graph if call.get("kind") == INPUT
        }
        self.last_use = {read.partition(":")[0]: i for i, call in enumerate(graph) for read in reads_of(call)}
        self.largest = 0
        """Numbers of one sample in the largest output of a layer, with `EXAMPLE_LENGTH` for unknown lengths."""
        self.build()

    def build(self) -> None:
        """Creates the layers. The sizes of their inputs are computed on PyTorch's device without numbers."""
        values, masks = self.start(self.examples())
        for call in self.graph:
            if call.get("kind") == INPUT:
                continue
            inputs = [values[name] for name in call["reads"]]
            if "kind" in call:
                self.layers[module_name(call["name"])] = built(call, [tuple(x.shape[1:]) for x in inputs])
            layer = self.layer(call)
            meta = {name: part.to("meta") for name, part in [*layer.named_parameters(), *layer.named_buffers()]}
            try:
                keywords = {"masks": [None] * len(inputs)} if layer.uses_masks else {}  # masks change no size
                result = torch.func.functional_call(layer, meta, tuple(inputs), keywords)
            except (ArithmeticError, RuntimeError, ValueError, IndexError, TypeError) as error:
                raise UserError(f"layer {call['name']!r} cannot read its inputs: {first_line(error)}") from error
            self.keep(call, result, None, values, masks)
            self.largest = max(self.largest, values[call["name"]][:1].numel())
        self.output_shape = tuple(values[self.result].shape[1:])

    def examples(self) -> dict[str, Tensor]:
        """Inputs without numbers: two samples of each input."""
        return {
            name: torch.empty(2, *(EXAMPLE_LENGTH if size is None else size for size in shape), device="meta")
            for name, shape in self.inputs.items()
        }

    def layer(self, call: Mapping[str, Any]) -> KerasLayer:
        """The layer of a call."""
        layer = self.layers[module_name(call.get("layer", call["name"]))]
        assert isinstance(layer, KerasLayer)
        return layer

    def start(self, inputs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Mask]]:
        """The values and the masks before the first layer."""
        return dict(inputs), dict.fromkeys(inputs)

    def keep(
        self,
        call: Mapping[str, Any],
        result: Tensor | tuple[Tensor, ...],
        mask: Mask,
        values: dict[str, Tensor],
        masks: dict[str, Mask],
    ) -> None:
        """Keeps what a call returns."""
        name = call["name"]
        several = [result] if isinstance(result, Tensor) else result
        for i, value in enumerate(several):
            values[f"{name}:{i}" if i else name] = value
        masks[name] = mask

    def train(self, mode: bool = True) -> "KerasNetwork":
        """Sets the mode of all layers. A batch normalization whose weights are frozen always evaluates, as in Keras."""
        super().train(mode)
        for call in self.graph:
            if call.get("kind") == "BatchNormalization" and call.get("trainable") is False:
                self.layer(call).eval()
        return self

    def forward(self, inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
        """`inputs`: `(B, …)`, images with the channel first; several by name. Returns `(B, num_outputs)`."""
        outputs = self.computed(self.prepared(inputs))
        if self.num_outputs == 1 and outputs.shape[-1] == 2:
            return outputs[:, 1:] - outputs[:, :1]
        return outputs

    def computed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The output of the graph, from inputs in Keras' layout."""
        values, masks = self.start(inputs)
        for i, call in enumerate(self.graph):
            if call.get("kind") == INPUT:
                continue
            layer, reads = self.layer(call), call["reads"]
            read = [values[name] for name in reads]
            own = [masks.get(name) for name in reads]
            if "mask" in call:
                own[0] = values[call["mask"]]
            result = layer(*read, masks=own) if layer.uses_masks else layer(*read)
            self.keep(call, result, layer.output_mask(read, own), values, masks)
            for name in {*reads, *([call["mask"]] if "mask" in call else [])}:
                if self.last_use[name.partition(":")[0]] == i and name != self.result:
                    values.pop(name, None)
        return values[self.result]

    def vocabulary(self, name: str) -> int | None:
        """How many tokens an input may have; None if it does not hold tokens."""
        for call in self.graph:
            if name in call.get("reads", []) and call.get("kind") == "Embedding":
                return int(call["settings"]["input_dim"])
        return None

    def prepared(self, inputs: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inputs by name, in Keras' layout."""
        given = inputs if isinstance(inputs, Mapping) else {next(iter(self.inputs)): inputs}
        return {name: self.in_layout(given[name], shape) for name, shape in self.inputs.items()}

    def in_layout(self, x: Tensor, shape: Shape) -> Tensor:
        """Images `(B, C, H, W)` as `(B, H, W, C)`, or as `(B, H, W)` or rows if the model reads these."""
        if x.is_floating_point() and self.input_scale != 1:
            x = x * self.input_scale
        if x.dim() == 4 and len(shape) == 3:
            return x.movedim(1, -1)
        if x.dim() > len(shape) + 1:
            return x.movedim(1, -1).reshape(len(x), *(x.shape[2:] if len(shape) == 2 else [-1]))
        return x

    def arrays(self) -> list[tuple[str, KerasArray]]:
        """The arrays of all layers in the order of the graph, each with the name of its layer."""
        return [
            (call["name"], array)
            for call in self.graph
            if "kind" in call and call["kind"] != INPUT
            for array in self.layer(call).arrays()
        ]

    def variables(self) -> list[list[Tensor]]:
        """The parameters of each array, in the order of the graph: usually one."""
        own = {parameter.untyped_storage().data_ptr(): parameter for parameter in self.parameters()}
        found: list[list[Tensor]] = []
        for _, array in self.arrays():
            storages = dict.fromkeys(part.untyped_storage().data_ptr() for part in array.parts)
            found.append([own[place] for place in storages if place in own])
        return found


def reads_of(call: Mapping[str, Any]) -> Sequence[str]:
    """The names of all outputs that a call reads."""
    return [*call.get("reads", []), *([call["mask"]] if "mask" in call else [])]


def built(call: Mapping[str, Any], shapes: Sequence[Shape]) -> KerasLayer:
    """The layer of a call.

    Raises:
        UserError: its settings do not fit; names the layer.
    """
    try:
        kind = call["kind"]
        layer = Operation(*shapes, **call["settings"]) if kind == "Operation" else build_layer(call, *shapes)
    except (UserError, ArithmeticError, RuntimeError, ValueError, TypeError, IndexError, KeyError) as error:
        raise UserError(f"layer {call['name']!r} ({call['kind']}): {first_line(error)}") from error
    if call.get("trainable") is False:
        layer.requires_grad_(False)
    return layer


def module_name(name: str) -> str:
    """A name that PyTorch takes for a part of a network."""
    plain = name.replace(".", "_")
    return f"{plain}_" if hasattr(nn.ModuleDict, plain) else plain


def first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
