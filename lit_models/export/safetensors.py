"""Exports the weights of a module to a safetensors file, and compares them by loading the file."""

import json
from pathlib import Path

import torch

from datamodules.errors import UserError
from lit_models.export.files import new_folder
from lit_models.export.readme import metadata, readme, result_code, variables, write_beside
from lit_models.export.source import Source
from lit_models.tasks.task import LitTask

FILE = "model.safetensors"
LOAD = """\
with safe_open("{file}", framework="pt") as file:
    about = file.metadata()
    weights = {{name: file.get_tensor(name) for name in file.keys()}}
"""
TASK = """\
model = {name}(**json.loads(about["settings"])).eval()
model.network.load_state_dict(weights)
{dtype}with torch.no_grad():
    logits = model(torch.from_numpy(inputs))
    {first} = model.predictions(logits).numpy()
names = json.loads(about["class_names"])
{result}"""
TENSORS = "for name, tensor in weights.items():\n    print(name, tuple(tensor.shape))"


def write(source: Source, path: Path) -> list[str]:
    """Writes a folder with the weights, the files of the tokenizer and a README.md.

    Returns:
        A line about the comparison.

    Raises:
        UserError: the weights in the file differ.
    """
    from safetensors.torch import load_file, save

    module = source.module.network if isinstance(source.module, LitTask) else source.module
    weights = {name: tensor.detach().clone().contiguous() for name, tensor in module.state_dict().items()}
    about = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata(source).items()}
    with new_folder(path) as folder:
        (folder / FILE).write_bytes(save(weights, metadata={"format": "pt", **about}))
        loaded = load_file(folder / FILE)
        different = [name for name, tensor in weights.items() if not _same(tensor, loaded.get(name))]
        if different or loaded.keys() != weights.keys():
            raise UserError(f"the weights in the file differ from the model's: {', '.join(different)}")
        count = sum(tensor.numel() for tensor in weights.values())
        lines = [f"{len(weights)} tensors with {count:,} numbers, all bits the same when the file is loaded"]
        write_beside(folder, source, _readme(source, lines))
    return lines


def _same(tensor: torch.Tensor, other: torch.Tensor | None) -> bool:
    """Whether two tensors have the same type, shape and bits."""
    return (
        other is not None
        and (tensor.dtype, tensor.shape) == (other.dtype, other.shape)
        and bool(torch.equal(tensor.flatten().view(torch.uint8), other.flatten().view(torch.uint8)))
    )


def _readme(source: Source, lines: list[str]) -> str:
    code, needs = LOAD.format(file=FILE), "PyTorch and safetensors"
    imports = ["from safetensors import safe_open"]
    if isinstance(source.module, LitTask):
        model = type(source.module)
        double = next(source.module.parameters()).dtype == torch.float64
        code += TASK.format(
            name=source.name,
            first=variables(source).partition(",")[0],
            result=result_code(source),
            dtype="model.double()\n" if double else "",
        )
        package = "lit_models" if model.__module__.startswith("lit_models.") else model.__module__
        imports += ["import json", "import torch", f"from {package} import {source.name}"]
        needs += f", and {package} for the network"
    else:
        code += TENSORS
    return readme(source, title=FILE, imports=imports, code=code, needs=needs, differences=lines)
