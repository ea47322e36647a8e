"""Import of any Keras graph: turns a file into settings and weights of `KerasNetwork`, and compares both outputs.

imported = import_graph(Path("model.keras"))
module = LitKeras(**imported.settings)
difference = imported.transfer(module.network)
"""

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from datamodules.errors import UserError
from lit_models.keras.adapters import GRAPH_MODEL
from lit_models.keras.comparison import LOGIT, MAX_NUMBERS, NUM_SAMPLES
from lit_models.keras.continuing import load_state
from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.graph import MODELS, Call, SavedGraph, layer_name, saved_graph
from lit_models.keras.files.graph_weights import ArrayShape, read_graph_weights
from lit_models.keras.files.layers import dtype_of, function_name
from lit_models.keras.files.optimizer_state import OptimizerState, read_optimizer_state
from lit_models.keras.files.reading import Array, read_model
from lit_models.keras.files.settings import graph_call
from lit_models.keras.files.training import dropped_limits, loss_of, read_training
from lit_models.keras.layers import LAYERS, KerasLayer
from lit_models.keras.layers.augmentation import Random
from lit_models.keras.live import quiet_keras
from lit_models.keras.live_graph import build_graph
from lit_models.keras.network import INPUT, Graph, KerasNetwork
from lit_models.keras.proof import SMALLEST, LayerProof, compared, computed_by_keras, computed_here

LOSSES = {
    "meansquarederror": "squared_error",
    "mse": "squared_error",
    "meanabsoluteerror": "absolute_error",
    "mae": "absolute_error",
    "huber": "huber",
    "huberloss": "huber",
}
"""Keras' losses of numbers, in lower case without underscores, and the same losses here."""
REMOVED = ("softmax", "sigmoid")
"""Activations of the output that belong to the loss here."""
BUILD_ERRORS = (ArithmeticError, AttributeError, ImportError, LookupError, RuntimeError, TypeError, ValueError)
"""What Keras raises for a model that it cannot build or compute."""
EXAMPLE_STEPS = 24
"""Length of the random inputs where the model takes any."""
KEEP_VALUES = {kind for kind, layer in LAYERS.items() if layer.__module__ == Random.__module__}
"""Layers that read images and give images with values of the same range."""
PIXEL = 0.1
"""A Rescaling of an input by less than this reads pixels of 0 to 255."""


@dataclass(frozen=True, kw_only=True)
class ImportedGraph:
    """A Keras graph, its weights and how it was trained.

    Args:
        path: the file.
        settings: arguments of `LitKeras`, plain values.
        content: the model's JSON, whose output has no softmax or sigmoid.
        arrays: the arrays of each layer, in the order of Keras' `get_weights`.
        dtype: "float32" or "float64".
        notes: one sentence for each difference from the file.
        state: of the optimizer; None if it took no step, or is another one here.
        proof: the comparison with Keras, a row for each layer; empty before `transfer`.
    """

    path: Path
    settings: dict[str, Any]
    content: dict[str, Any]
    arrays: dict[str, list[Array]]
    dtype: str
    notes: list[str]
    state: OptimizerState | None = None
    proof: list[LayerProof] = field(default_factory=list)
    name: str = GRAPH_MODEL
    compared: ClassVar[str] = "of an output"
    allowed: ClassVar[str] = f"allowed: {LOGIT:.0e} of the largest"

    def described(self) -> str:
        """How many layers of each kind the graph has."""
        kinds = Counter(call["kind"] for call in self.settings["graph"] if call.get("kind", INPUT) != INPUT)
        return ", ".join(f"{count} {kind}" if count > 1 else kind for kind, count in kinds.items())

    def transfer(self, network: nn.Module) -> float:
        """Copies the weights into the network, and compares its outputs with those of the live Keras model.

        Returns:
            The largest difference of an output without softmax or sigmoid.
        """
        assert isinstance(network, KerasNetwork)
        load_graph(self, network)
        return check_graph(self, network)

    @property
    def steps(self) -> int:
        """Steps of the optimizer whose state the file has; 0 if it has none."""
        return self.state.iterations if self.state else 0

    def load_state(self, optimizer: torch.optim.Optimizer, network: nn.Module) -> None:
        """Puts the state of the file's optimizer into a new optimizer."""
        assert self.state
        load_state(optimizer, network, self.state, write_trained)


def import_graph(path: Path) -> ImportedGraph:
    """Reads a Keras file. Nothing in it is executed, and Keras is not needed.

    Raises:
        MissingFileError: no such file.
        KerasFileError: the file cannot be read, or something in it is not supported; names the file and all such
            layers.
    """
    try:
        return read_graph(path)
    except KerasFileError as error:
        raise KerasFileError(f"{path}: {error}") from error
    except UserError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        # JSON of another form
        raise KerasFileError(f"{path}: its architecture does not have the form of a Keras model") from error


def read_graph(path: Path) -> ImportedGraph:
    """Reads a Keras file. The errors do not name it."""
    content = read_model(path)
    compiled = content.get("compile_config") or {}
    activation, stripped = without_last_activation(content)
    saved = saved_graph(stripped)
    graph = plain_graph(saved.calls)
    if len(saved.outputs) != 1:
        names = ", ".join(saved.outputs)
        raise KerasFileError(f"the model has {len(saved.outputs)} outputs ({names}); one output is supported")
    if activation in REMOVED:
        check_output_is_only_output(saved)
    dtype = precision(saved.calls)
    scale, notes = pixels(graph)
    network = without_numbers(graph, saved.outputs[0])
    if network.largest > MAX_NUMBERS:
        raise KerasFileError(f"a layer gives {network.largest:,} numbers; at most {MAX_NUMBERS:,} are supported")
    head, more = head_settings(network.output_shape, activation, compiled)
    classifies = head["task"] != "regression"
    training = read_training(compiled, default_optimizer="keras_adam", classifies=classifies)
    # Frozen layers stay frozen here.
    limits = dropped_limits([call.layer for call in saved.calls if call.layer])
    notes += [*random_notes(graph), *more, *limits, *training.notes]
    settings = {"graph": graph, "outputs": saved.outputs[0], "input_scale": scale, **head}
    settings |= {"optimizer": training.optimizer, "lr": training.lr}
    settings |= {"optimizer_settings": training.settings} if training.settings else {}
    expected = expected_arrays(network)
    arrays = read_graph_weights(path, stripped, expected)
    state, unread = read_optimizer_state(path, stripped, expected, training)
    notes += unread
    return ImportedGraph(
        path=path, settings=settings, content=stripped, arrays=arrays, dtype=dtype, notes=notes, state=state
    )


def plain_graph(calls: list[Call]) -> Graph:
    """The calls as plain data.

    Raises:
        KerasFileError: names everything that is not supported, not only the first.
    """
    graph, problems = [], []
    for call in calls:
        try:
            graph.append(graph_call(call))
        except KerasFileError as error:
            problems.append(str(error))
    if problems:
        raise KerasFileError("; ".join(dict.fromkeys(problems)))
    return graph


def without_last_activation(content: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name of the activation of a model's output, and the model without it if it is softmax or sigmoid."""
    stripped = copy.deepcopy(dict(content))
    model = stripped
    while True:
        config = model["config"]
        layers = config if isinstance(config, list) else config["layers"]
        if model["class_name"] == "Sequential":
            last = layers[-1]
        else:
            ends = config["output_layers"]
            end = ends[0] if isinstance(ends[0], list) else ends
            (last,) = (layer for layer in layers if layer_name(layer) == end[0])
        if last["class_name"] not in MODELS:
            break
        model = last
    name = "linear"
    if last["class_name"] == "Softmax" and last["config"].get("axis", -1) == -1:
        name = "softmax"
        last |= {"class_name": "Activation", "config": {**last["config"], "activation": "linear"}}
        last["config"].pop("axis", None)
        last.pop("registered_name", None)
    elif "activation" in last["config"]:
        name = function_name(last["config"]["activation"])
        if name in REMOVED:
            last["config"]["activation"] = "linear"
    return name, stripped


def check_output_is_only_output(saved: SavedGraph) -> None:
    """Refuses a model whose output layer is used elsewhere too: there, it would miss the activation that was removed.

    Raises:
        KerasFileError: the output layer is called again, or another layer reads its output.
    """
    (output,) = (call for call in saved.calls if call.name == saved.outputs[0].partition(":")[0])
    for call in saved.calls:
        again = call is not output and call.of == output.of
        if again or output.name in (read.partition(":")[0] for read in call.reads):
            raise KerasFileError(f"the output layer {output.of!r} is used inside the model too; this is not supported")


def precision(calls: list[Call]) -> str:
    """The precision of all layers.

    Raises:
        KerasFileError: the layers differ in precision.
    """
    layers = [call.layer for call in calls if call.layer and call.layer.kind not in (INPUT, "Operation")]
    dtypes = sorted({dtype_of(layer) for layer in layers})
    if len(dtypes) != 1:
        raise KerasFileError(f"the layers compute in {' and '.join(dtypes)}; they must all have one precision")
    return dtypes[0]


def pixels(graph: Graph) -> tuple[float, list[str]]:
    """255 if a model of one input scales pixels of 0 to 255 itself, otherwise 1; and a note about it."""
    inputs = [call["name"] for call in graph if call.get("kind") == INPUT]
    if len(inputs) != 1:
        return 1.0, []
    images = set(inputs)  # outputs that still have the values of the input
    for call in graph:
        if call.get("kind") in KEEP_VALUES and images.issuperset(call["reads"]):
            images.add(call["name"])
        if call.get("kind") == "Rescaling" and images.issuperset(call["reads"]):
            factor = np.max(np.abs(call["settings"]["scale"]))
            if factor < PIXEL:
                return 255.0, [f"{call['name']!r} reads pixels of 0 to 255; images have 0 to 1 here, times input_scale"]
    return 1.0, []


def random_notes(graph: Graph) -> list[str]:
    """A note about the layers that change images at random."""
    names = [repr(call["name"]) for call in graph if issubclass(LAYERS.get(call.get("kind", ""), KerasLayer), Random)]
    same = "change images in training as in Keras, with other random numbers; in evaluation, they do nothing"
    return [f"{', '.join(names)} {same}"] if names else []


def without_numbers(graph: Graph, output: str) -> KerasNetwork:
    """The network of a graph without memory for its weights: a small file may declare large ones.

    Raises:
        KerasFileError: a layer cannot be built, or cannot read its inputs.
    """
    try:
        with torch.device("meta"):
            return KerasNetwork(graph, outputs=output, num_outputs=0)
    except UserError as error:
        raise KerasFileError(str(error)) from error


def expected_arrays(network: KerasNetwork) -> dict[str, list[ArrayShape]]:
    """The shapes of the arrays of each layer."""
    expected: dict[str, list[ArrayShape]] = {}
    for name, array in network.arrays():
        expected.setdefault(name, []).append(ArrayShape(array.shape, array.parts[0].requires_grad))
    return expected


def head_settings(
    shape: tuple[int, ...], activation: str, compiled: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The task of a model and the size of its output; and notes about what the file does not say.

    Raises:
        KerasFileError: the output is not one row of numbers for each sample.
    """
    if len(shape) != 1:
        raise KerasFileError(f"the output has shape {shape}; one row of numbers for each sample is supported")
    (units,) = shape
    loss = loss_of(compiled).lower().replace("_", "")
    if activation == "softmax" or (activation == "linear" and "categorical" in loss):
        if units < 2:
            raise KerasFileError("the output is a softmax of one number, which is always 1")
        return {"task": "classification", "num_classes": units}, []
    if activation == "sigmoid" or (activation == "linear" and "binary" in loss):
        if units == 1:
            return {"task": "classification", "num_classes": 2}, []
        return {"task": "multilabel", "num_classes": units}, []
    if activation == "linear" and not loss and units > 1:
        note = "the file names no loss; the linear outputs are read as logits of classes"
        return {"task": "classification", "num_classes": units}, [note]
    notes = [] if loss else ["the file names no loss; the output is read as a number to predict"]
    chosen = LOSSES.get(loss, "squared_error")
    if loss and loss not in LOSSES:
        notes.append(f"the file's loss {loss_of(compiled)!r} is replaced by {chosen}")
    return {"task": "regression", "num_targets": units, "loss": chosen}, notes


@torch.no_grad()
def load_graph(imported: ImportedGraph, network: KerasNetwork) -> None:
    """Copies the file's weights into a network that was built from its settings, and sets its precision."""
    if imported.dtype == "float64":
        network.double()
    values = {name: iter(of_layer) for name, of_layer in imported.arrays.items()}
    for name, array in network.arrays():
        array.write(torch.from_numpy(np.ascontiguousarray(next(values[name]), dtype=imported.dtype)))


@torch.no_grad()
def write_trained(network: nn.Module, arrays: Mapping[str, list[Array]]) -> None:
    """Copies the arrays of each layer that are trained into a network."""
    assert isinstance(network, KerasNetwork)
    values = {name: iter(of_layer) for name, of_layer in arrays.items()}
    for name, array in network.arrays():
        if array.parts[0].requires_grad:
            array.write(torch.from_numpy(next(values[name])))


def check_graph(imported: ImportedGraph, network: KerasNetwork) -> float:
    """Compares a network with the live Keras model on random inputs; returns the largest difference of an output.

    Keras builds its model from the file, and not from our reading of it. The outputs are compared without softmax or
    sigmoid, which would hide differences.

    Raises:
        UserError: the outputs differ by more than rounding, or Keras cannot build the model.
    """
    inputs = random_inputs(network, imported.dtype)
    with quiet_keras() as keras:
        try:
            live = build_graph(keras, imported.content, imported.arrays, imported.dtype)
            keras_computed = computed_by_keras(keras, live, inputs)
        except BUILD_ERRORS as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f"{imported.path}: Keras itself cannot compute the model in the file: {reason}") from error
    computed = computed_here(network, inputs)
    theirs, ours = keras_computed.output, computed.output
    imported.proof[:] = compared(network, computed, keras_computed)
    difference = float(np.abs(theirs - ours).max())
    limit = LOGIT * max(SMALLEST, float(np.abs(theirs).max()))
    if not difference <= limit:  # NaN is refused too
        rows = (row for row in imported.proof if row.output is not None and not row.output <= LOGIT)
        first = next((f"; the first layer that differs is {row.name!r}, by {row.output:.1e}" for row in rows), "")
        raise UserError(
            f"{imported.path}: the outputs differ from Keras' on random inputs by {difference:.2g} "
            f"(allowed: {limit:.0e}){first}"
        )
    return difference


def random_inputs(network: KerasNetwork, dtype: str) -> dict[str, Any]:
    """Random samples of each input in Keras' layout, the same each time.

    Tokens have padding at the end of some samples, and pixels are in 0 to 255 if the model reads these.
    """
    rng = np.random.default_rng(0)
    inputs: dict[str, Any] = {}
    for name, shape in network.inputs.items():
        sizes = tuple(EXAMPLE_STEPS if size is None else size for size in shape)
        if (vocabulary := network.vocabulary(name)) is not None:
            tokens = rng.integers(0, vocabulary, (NUM_SAMPLES, *sizes), dtype=np.int32)
            for row, length in enumerate(rng.integers(1, sizes[-1] + 1, NUM_SAMPLES // 2)):
                tokens[row, ..., length:] = 0
            inputs[name] = tokens
        else:
            samples = max(1, min(NUM_SAMPLES, MAX_NUMBERS // max(1, network.largest)))
            drawn = rng.random((samples, *sizes)) if len(sizes) > 2 else rng.standard_normal((samples, *sizes))
            inputs[name] = (drawn * network.input_scale).astype(dtype)
    return inputs


def random_batch(network: KerasNetwork) -> torch.Tensor | dict[str, torch.Tensor]:
    """Random inputs of a network in this program's layout: images `(B, C, H, W)`. Several inputs are a mapping."""
    dtype = str(next(network.parameters()).dtype).removeprefix("torch.")
    batch = {name: torch.from_numpy(value) for name, value in random_inputs(network, dtype).items()}
    for name, value in batch.items():
        if value.is_floating_point():
            value = value / network.input_scale
            batch[name] = value.movedim(-1, 1).contiguous() if value.dim() == 4 else value
        else:
            batch[name] = value.long()
    return batch if len(batch) > 1 else next(iter(batch.values()))
