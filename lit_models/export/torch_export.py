"""Exports a module to a program of `torch.export`, which PyTorch runs without this package."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lit_models.export.comparison import compare
from lit_models.export.files import new_folder
from lit_models.export.graph import quiet_torch, trace
from lit_models.export.readme import metadata, readme, result_code, variables, write_beside
from lit_models.export.recurrent import with_torch_operations
from lit_models.export.source import Source, variable

FILE, METADATA = "model.pt2", "metadata.json"
CODE = """\
about = {{"{metadata}": ""}}
program = torch.export.load("{file}", extra_files=about).module()
with torch.no_grad():
    {outputs} = (output.numpy() for output in program({inputs}))
{result}"""
NAMES = f'names = json.loads(about["{METADATA}"])["class_names"]\n'


def write(source: Source, path: Path) -> list[str]:
    """Writes a folder with the program, the files of the tokenizer and a README.md.

    Returns:
        Lines about the comparison, and notes about the use of the file.

    Raises:
        UserError: the module cannot be traced, or the outputs differ.
    """
    graph = trace(source)
    program = with_torch_operations(graph.program)
    with new_folder(path) as folder:
        about = {METADATA: json.dumps(metadata(source))}
        with quiet_torch():
            torch.export.save(program, folder / FILE, extra_files=about)
            loaded: Any = torch.export.load(folder / FILE).module()

        def run(tensors: dict[str, Tensor]) -> list[Any]:
            with torch.no_grad():
                return [output.numpy() for output in loaded(*tensors.values())]

        lines = compare(
            source,
            run,
            lengths=graph.any_length,
            shapes=any(graph.axes),
            where=f"PyTorch {torch.__version__}, from the file",
        )
        lines = [*graph.notes, *lines]
        write_beside(folder, source, _readme(source, lines))
    return lines


def _readme(source: Source, lines: list[str]) -> str:
    inputs = ", ".join(f"torch.from_numpy({variable(name)})" for name in source.samples.tensors)
    result = (NAMES if source.task else "") + result_code(source)
    code = CODE.format(metadata=METADATA, file=FILE, outputs=variables(source), inputs=inputs, result=result)
    imports = ["import json", "import torch"] if source.task else ["import torch"]
    needs = f"numpy and PyTorch {torch.__version__.partition('+')[0]} or newer"
    return readme(source, title=FILE, imports=imports, code=code, needs=needs, differences=lines)
