"""Exports a network for small grey images to one HTML page, in which it reads what a person draws.

The page computes the network in plain JavaScript. Here its layers and weights are read back from the page and computed
in numpy, and compared with the model. `tests/export/test_html.py` compares the JavaScript itself in a browser.
"""

import base64
import json
import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from datamodules.errors import UserError
from lit_models.cnn import CNN
from lit_models.export.comparison import compare
from lit_models.export.source import Source
from lit_models.mlp import MLP
from lit_models.runs.durable import replaced
from lit_models.tasks.targets import Classification
from lit_models.tasks.task import LitTask

Array = NDArray[np.float32]
TEMPLATE = "digits.html.j2"
MARK = '<script id="model" type="application/json">'
ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid"}
MNIST_BOX, MNIST_STROKE = 20 / 28, 2.5 / 28
"""Size of a digit in MNIST, and width of its lines, as fractions of the image."""
INK, ENLARGED = 0.3, 0.1
"""Pixels above the first number belong to a digit. Images were enlarged if a smaller size gives them back with a
difference below the second number, as a fraction of their mean."""


def write(source: Source, path: Path) -> list[str]:
    """Writes the page, after its layers and weights are computed in numpy and compared with the model.

    Returns:
        Lines about the comparison.

    Raises:
        UserError: the model is not a LitCNN or LitMLP for classes of grey images, or the outputs differ.
    """
    if path.suffix != ".html":
        raise UserError(f"{path} does not end in .html: give the file another name")
    height, width = image_sides(source)
    text = render(source, height=height, width=width)
    start = text.index(MARK) + len(MARK)
    model = json.loads(text[start : text.index("</script>", start)])
    lines = compare(
        source,
        lambda tensors: computed(model, next(iter(tensors.values())).numpy()),
        lengths=False,
        shapes=False,
        where="numpy, with the layers and weights in the page",
    )
    with replaced(path) as part:
        part.write_text(text, encoding="utf-8")
    return [*lines, "note: the JavaScript in the page was not run; the tests of lit-models run it in a browser"]


def image_sides(source: Source) -> tuple[int, int]:
    """Height and width of the images.

    Raises:
        UserError: the page cannot show this model.
    """
    module = source.module
    if not isinstance(module, LitTask) or not isinstance(module.network, CNN | MLP):
        raise UserError(f"export --format html takes LitCNN and LitMLP, and the checkpoint has {source.name}")
    if not isinstance(module.target, Classification):
        raise UserError(
            f"export --format html takes models of classes, and {source.name} has targets for {source.task}"
        )
    shape = tuple(source.samples.tensors["inputs"].shape[1:])
    side = math.isqrt(math.prod(shape))
    if len(shape) == 1 and side * side == shape[0] and source.samples.note is not None:
        return side, side  # an MLP without its data: square images are likely
    if len(shape) != 3 or shape[0] != 1:
        raise UserError(f"export --format html takes grey images (1, height, width), and {source.name} reads {shape}")
    return shape[1], shape[2]


def render(source: Source, *, height: int, width: int) -> str:
    """The page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
    )
    content = page_model(cast(LitTask, source.module), height=height, width=width)
    content |= {"names": source.class_names, **drawing(source, height=height, width=width)}
    model = json.dumps(content).replace("<", "\\u003c")
    count = sum(weight.numel() for weight in source.module.parameters())
    about = f"{source.name} of lit-models, {count:,} parameters, {width} x {height} pixels."
    names = source.class_names
    title = "Draw a digit" if names == [str(i) for i in range(10)] else f"Draw one of {len(names)} classes"
    return environment.get_template(TEMPLATE).render(title=title, about=about, model=model, height=height, width=width)


def page_model(module: LitTask, *, height: int, width: int) -> dict[str, Any]:
    """Layers and weights as the page reads them."""
    network = module.network
    arrays: list[Array] = []
    layers: list[dict[str, Any]] = []

    def place(weight: Tensor) -> dict[str, int]:
        start = sum(array.size for array in arrays)
        arrays.append(weight.detach().float().contiguous().numpy().ravel())
        return {"start": start, "count": arrays[-1].size}

    def add_dense(layer: nn.Module, activation: str) -> None:
        layers.append({"kind": "dense", "activation": activation, "weight": place(cast(Tensor, layer.weight))})
        layers[-1]["bias"] = place(cast(Tensor, layer.bias))

    assert isinstance(network, CNN | MLP), "other networks are refused before"
    activation = ACTIVATIONS[type(network.activation)]
    if isinstance(network, CNN):
        for each in network.convolutions:
            layer = cast(Any, each)
            sizes = {"filters": layer.out_channels, "kernel": layer.kernel_size[0], "padding": layer.padding[0]}
            layers.append({"kind": "convolution", "activation": activation, "pool": layer.pool, **sizes})
            layers[-1] |= {"weight": place(layer.weight), "bias": place(layer.bias)}
    for layer in network.dense if isinstance(network, CNN) else network.hidden:
        add_dense(layer, activation)
    add_dense(network.output, "none")
    independent = cast(Classification, module.target).loss == "half_squared_error" and network.output.out_features > 1
    numbers = np.concatenate(arrays).astype("<f4").tobytes()
    output = "sigmoid" if independent else "softmax"
    weights = base64.b64encode(numbers).decode()
    return {"height": height, "width": width, "output": output, "layers": layers, "weights": weights}


def drawing(source: Source, *, height: int, width: int) -> dict[str, Any]:
    """How the page scales and centres a drawing, measured on the samples; MNIST's way if they are random.

    Returns:
        `box`: the longer side of a digit as a fraction of the image; `stroke`: width of a line in pixels; `centre`:
        what is in the middle of the image, the "mass" of the digit or its "edges"; `rows` and `columns`: the number of
        different pixels, fewer than `height` and `width` if the images were enlarged.
    """
    style = {"box": MNIST_BOX, "stroke": MNIST_STROKE * min(height, width), "centre": "mass"}
    style |= {"rows": height, "columns": width}
    images = source.samples.tensors["inputs"].double()
    if source.samples.note is not None or not (drawn := (images > INK).flatten(1).any(dim=1)).any():
        return style
    rows, columns = original_size(images[drawn])
    small = F.interpolate(images[drawn], size=(rows, columns), mode="bilinear")[:, 0].numpy()  # (B, rows, columns)
    boxes, strokes, off_mass, off_edges = (np.array(values) for values in zip(*map(measured, small), strict=True))
    stroke = float(np.clip(np.median(strokes), 1 / columns, 1 / 4)) * min(height, width)
    centre = "mass" if off_mass.mean() < off_edges.mean() else "edges"
    found = {"box": round(float(np.median(boxes)), 3), "stroke": round(stroke, 2), "centre": centre}
    return found | {"rows": rows, "columns": columns}


def original_size(images: Tensor) -> tuple[int, int]:
    """The smallest size from which the images `(B, 1, H, W)` can have been enlarged; their own size if it is none."""
    height, width = images.shape[2:]
    for rows in range(4, height // 2 + 1):
        size = rows, round(rows * width / height)
        small = F.interpolate(images, size=size, mode="bilinear")
        large = F.interpolate(small, size=(height, width), mode="bilinear")
        if (large - images).abs().mean() < ENLARGED * images.mean():
            return size
    return height, width


def measured(image: NDArray[Any]) -> tuple[float, float, float, float]:
    """The longer side of a digit and the width of its lines, as fractions of the image `(H, W)`; and the distances of
    its mass and of its edges from the middle, in pixels."""
    sides = np.array(image.shape)
    places = np.argwhere(image > INK)  # (n, 2)
    low, high = places.min(axis=0, initial=sides.max()), places.max(axis=0, initial=0) + 1
    edge = np.pad(image, 1)
    outline = sum(np.abs(np.diff(edge, axis=axis)).sum() for axis in (0, 1)) * math.pi / 4
    line = 2 * image.sum() / max(outline, 1e-9)  # the area is length x width, and the outline twice the length
    mass = (np.indices(image.shape) + 0.5).reshape(2, -1) @ image.ravel() / image.sum()
    off_mass, off_edges = (float(np.abs(place - sides / 2).max()) for place in (mass, (low + high) / 2))
    return float(max((high - low) / sides)), float(line / min(sides)), off_mass, off_edges


def computed(model: dict[str, Any], images: NDArray[Any]) -> list[NDArray[Any]]:
    """Probabilities and logits of images `(B, …)`, computed in numpy with the page's layers and weights."""
    weights = np.frombuffer(base64.b64decode(model["weights"]), dtype="<f4")

    def numbers(place: dict[str, int]) -> Array:
        return weights[place["start"] : place["start"] + place["count"]]

    x: Array = images.astype(np.float32).reshape(len(images), 1, model["height"], model["width"])
    for layer in model["layers"]:
        weight, bias = numbers(layer["weight"]), numbers(layer["bias"])
        if layer["kind"] == "convolution":
            x = _pooled(_convolved(x, weight, bias, layer), layer["pool"])
        else:
            x = x.reshape(len(x), -1)  # (B, C, H, W) -> (B, C * H * W)
            x = x @ weight.reshape(len(bias), -1).T + bias
        x = _activated(x, layer["activation"])
    if model["output"] == "sigmoid":
        return [_activated(x, "sigmoid"), x]
    if x.shape[1] == 1:
        positive = _activated(x, "sigmoid")
        return [np.concatenate([1 - positive, positive], axis=1), x]
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return [powers / powers.sum(axis=1, keepdims=True), x]


def _convolved(x: Array, weight: Array, bias: Array, layer: dict[str, Any]) -> Array:
    kernel, border = layer["kernel"], layer["padding"]
    x = np.pad(x, ((0, 0), (0, 0), (border, border), (border, border)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(2, 3))  # (B, C, H, W, K, K)
    filters = weight.reshape(layer["filters"], x.shape[1], kernel, kernel)
    sums: Array = np.einsum("bchwij,fcij->bfhw", windows, filters, optimize=True)
    return sums + bias[:, None, None]


def _pooled(x: Array, size: int) -> Array:
    high, wide = x.shape[2] // size, x.shape[3] // size
    blocks = x[:, :, : high * size, : wide * size].reshape(*x.shape[:2], high, size, wide, size)
    largest: Array = blocks.max(axis=(3, 5))
    return largest


def _activated(x: Array, activation: str) -> Array:
    match activation:
        case "relu":
            return np.maximum(x, 0)
        case "tanh":
            return np.tanh(x)
        case "sigmoid":
            return cast(Array, torch.from_numpy(x).sigmoid().numpy())
    return x
