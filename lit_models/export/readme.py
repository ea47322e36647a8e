"""The README.md beside an exported file: what it is, its inputs and outputs, and the lines of Python that use it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lit_models.export.source import Source, variable

OUTPUTS = {
    "classification": "`probabilities` has one number for each class; `logits` are the network's outputs before them.",
    "multilabel": "`probabilities` has one number for each label; `logits` are the network's outputs before them.",
    "regression": "`values` has the predicted numbers.",
    None: "The outputs are those of the module's `forward`.",
}
RESULT = {
    "classification": "for row in probabilities:\n    print(names[row.argmax()], row.max())",
    "multilabel": "for row in probabilities:\n    print([name for name, p in zip(names, row) if p > 0.5])",
    "regression": "for row in values:\n    print(dict(zip(names, row)))",
}


def metadata(source: Source) -> dict[str, Any]:
    """What a file says of its model, as plain values."""
    return {
        "model": source.name,
        "task": source.task or "",
        "class_names": source.class_names,
        "outputs": source.output_names(),
        "preprocessing": source.preprocessing.steps,
        "settings": plain_settings(source),
    }


def plain_settings(source: Source) -> dict[str, Any]:
    """The settings with which the module was built, as far as JSON can hold them."""
    settings = {}
    for name, value in source.module.hparams.items():
        try:
            settings[str(name)] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            continue
    return settings


def readme(source: Source, *, title: str, imports: Sequence[str], code: str, needs: str, differences: list[str]) -> str:
    """The text.

    Args:
        source: the model.
        title: the file, such as "model.onnx".
        imports: the import lines of `code`.
        code: lines of Python that compute the outputs from the variables of `preprocessing`.
        needs: the packages that the lines need.
        differences: lines about the comparison with the model.
    """
    preprocessing = source.preprocessing
    lines = sorted({*imports, *preprocessing.imports, "import numpy as np"}, key=_import_order)
    names = source.class_names
    listed = f"\nNames of the outputs, in their order: `{json.dumps(names, ensure_ascii=False)}`\n" if names else ""
    program = "\n".join([*lines, "", preprocessing.code, "", code])
    compared = "\n".join(f"- {line}" for line in differences)
    return (
        f"# {title}: {source.name}\n\n"
        f"Exported by lit-models. It needs {needs}.\n\n"
        f"## Use\n\nRun these lines in this folder:\n\n```python\n{program}\n```\n\n"
        f"## Inputs and outputs\n\n{preprocessing.steps}\n\n{OUTPUTS[source.task]}\n{listed}\n"
        f"## Comparison\n\n{compared}\n"
    )


def variables(source: Source) -> str:
    """The left side of an assignment to the outputs."""
    names = list(map(variable, source.output_names()))
    return f"{', '.join(names)}{',' if len(names) == 1 else ''}"


def result_code(source: Source) -> str:
    """The lines that print the outputs."""
    return RESULT[source.task] if source.task else f"print({variables(source).rstrip(',')})"


def write_beside(folder: Path, source: Source, text: str) -> None:
    """Writes the README.md, and the files that its lines read."""
    (folder / "README.md").write_text(text, encoding="utf-8")
    for name, content in source.preprocessing.files.items():
        (folder / name).write_text(content, encoding="utf-8")


def _import_order(line: str) -> tuple[bool, str]:
    """Imports of the standard library come first, then those of packages."""
    return line.split()[1].partition(".")[0] not in ("json", "re"), line
