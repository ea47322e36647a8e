"""Exports a module to an ONNX file, and compares its outputs in ONNX Runtime."""

import json
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from datamodules.errors import UserError
from lit_models.export.comparison import OTHER, compare
from lit_models.export.files import new_folder
from lit_models.export.graph import AXES, Graph, at_least_two, quiet_torch, reason_of, trace
from lit_models.export.onnx_recurrent import translations
from lit_models.export.readme import metadata, readme, result_code, variables, write_beside
from lit_models.export.source import Source, variable

FILE = "model.onnx"
MOST_BYTES = 2**30
"""A model with more bytes of weights has them in a second file, because an ONNX file holds at most 2 GiB."""
CODE = """\
session = onnxruntime.InferenceSession("{file}")
{outputs} = session.run(None, {{{inputs}}})
{result}"""
NAMES = 'names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])\n'


def write(source: Source, path: Path) -> list[str]:
    """Writes a folder with the model, the files of the tokenizer and a README.md.

    Returns:
        Lines about the comparison, and notes about the use of the file.

    Raises:
        UserError: the module cannot be traced or has no counterpart in ONNX, or the outputs differ.
    """
    import onnxruntime

    graph = trace(source)
    program = _convert(source, graph)
    with new_folder(path) as folder:
        large = sum(weight.nbytes for weight in source.module.state_dict().values()) > MOST_BYTES
        program.save(folder / FILE, external_data=large)
        session = onnxruntime.InferenceSession(str(folder / FILE), providers=["CPUExecutionProvider"])
        where = f"ONNX Runtime {onnxruntime.__version__}"
        try:
            lines = compare(
                source,
                lambda tensors: _run(session, tensors),
                lengths=graph.any_length,
                shapes=any(graph.axes),
                where=where,
            )
        except UserError as error:
            raise UserError(f"{error}{first_difference(program, source)}") from error
        lines = [*graph.notes, *lines]
        write_beside(folder, source, _readme(source, lines))
    return lines


def _convert(source: Source, graph: Graph) -> Any:
    """The graph in ONNX's operations, with named dimensions and the metadata."""
    try:
        with quiet_torch(), torch.no_grad():
            program: Any = torch.onnx.export(
                cast(Any, graph.program),
                (),
                dynamo=True,
                verbose=False,
                input_names=list(source.samples.tensors),
                output_names=source.output_names(),
                custom_translation_table=translations(),
            )
    except UserError:
        raise
    except Exception as error:  # torch raises many types
        raise UserError(f"{source.name} cannot be written as ONNX: {reason_of(error)}") from error
    for axes, value in zip(graph.axes, program.model.graph.inputs, strict=True):
        for axis in axes:
            _rename(program.model, str(value.shape[axis].value), AXES[axis])
    for name, content in metadata(source).items():
        program.model.metadata_props[name] = content if isinstance(content, str) else json.dumps(content)
    return program


def _rename(model: Any, old: str, new: str) -> None:
    """Gives a dimension of the graph a name for readers."""
    from onnxscript import ir

    for value in [*model.graph.inputs, *model.graph.outputs]:
        if value.shape is not None:
            sides = [ir.SymbolicDim(new) if str(getattr(side, "value", side)) == old else side for side in value.shape]
            value.shape = ir.Shape(sides)


def _run(session: Any, tensors: dict[str, Tensor]) -> list[Any]:
    return cast(list[Any], session.run(None, {name: tensor.numpy() for name, tensor in tensors.items()}))


def first_difference(program: Any, source: Source) -> str:
    """Where the values inside the graph begin to differ, for the message; empty if that is not known."""
    from torch.onnx.verification import verify_onnx_program

    try:
        with quiet_torch(), torch.no_grad():
            inputs = tuple(at_least_two(tensor) for tensor in source.samples.tensors.values())
            values = verify_onnx_program(program, inputs, compare_intermediates=True)
    except Exception:  # this is only additional information
        return ""
    differs = next((v for v in values if not (v.max_abs_diff <= OTHER or v.max_rel_diff <= OTHER)), None)
    return "" if differs is None else f"; the first value that differs is {differs.name}, by {differs.max_abs_diff:.2g}"


def _readme(source: Source, lines: list[str]) -> str:
    outputs = variables(source)
    inputs = ", ".join(f"{json.dumps(name)}: {variable(name)}" for name in source.samples.tensors)
    names = NAMES if source.task else ""
    code = CODE.format(file=FILE, outputs=outputs, inputs=inputs, result=names + result_code(source))
    imports = ["import json", "import onnxruntime"] if source.task else ["import onnxruntime"]
    return readme(source, title=FILE, imports=imports, code=code, needs="numpy and onnxruntime", differences=lines)
