"""`export` to ONNX, torch, safetensors and HTML as a command: files, README.md and mistakes."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.commands.keras_files import error
from tests.cli.conftest import Run
from tests.programs import Programs

TOKENIZERS = {"words": ("onnx", "safetensors"), "basic_english": ("safetensors",), "bert": ("torch",)}
"""Formats that are tried with each tokenizer."""
TEXTS = ["A wonderful apple", "sky; it's SEA"]
QUICK = ("--trainer.max_epochs", "1", "--trainer.logger", "false")


def use(folder: Path, programs: Programs, *, changes: dict[str, str]) -> list[str]:
    """The lines that the Python of an exported README.md prints, in the folder of the file."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for old, new in changes.items():
        assert old in code
        code = code.replace(old, new)
    (folder / "use.py").write_text(code, encoding="utf-8")
    done = programs.run("use.py", folder=folder.absolute())
    assert done.status == 0, done.err
    return done.out.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_a_text_model_is_used_by_the_lines_of_its_readme(
    tokenizer: str, colours: Path, run: Run, programs: Programs, request: pytest.FixtureRequest
) -> None:
    formats = TOKENIZERS[tokenizer]
    if "onnx" in formats:
        pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    network = ["LitRNN", "--model.cell=gru", "--model.hidden_size=4"]
    if tokenizer == "bert":
        tokenizer = str(request.getfixturevalue("bert_checkpoint"))
        network = ["LitBERT", "--model.checkpoint", tokenizer]
    fit = ("fit", "--model", *network, "--data", "TextDataModule", "--data.train_file", str(colours))
    assert run(*fit, "--data.tokenizer", tokenizer, *QUICK, "--experiment", "words")[0] == 0
    checkpoint = "runs/words/version_0/checkpoints/last.ckpt"
    predictions = run("predict", "--ckpt_path", checkpoint, "--inputs", *TEXTS, "--output", "-")[1].splitlines()
    for name in formats:
        status, out, err = run("export", "--format", name, "--ckpt_path", checkpoint)
        assert (status, err) == (0, "")
        if name != "safetensors":
            assert out.startswith(
                "compared with the model on 9 val samples and 8 batches of other sizes and lengths, in "
            )
        assert out.splitlines()[-1] == f"{network[0]} in runs/words/version_0/{name}"
        texts = {'["A wonderful film", "A bad one"]': json.dumps(TEXTS)}
        lines = use(Path("runs/words/version_0") / name, programs, changes=texts)
        for line, expected in zip(lines, map(json.loads, predictions), strict=True):
            label, probability = line.split()
            assert label == expected["label"]
            assert float(probability) == pytest.approx(expected["probability"], abs=1e-5)


def test_an_image_model_is_exported_and_nothing_is_overwritten(run: Run, programs: Programs) -> None:
    small = ("--model.filters", "[4]", "--model.pool_size", "[2]", "--model.dense_sizes", "[]")
    assert run("fit", "--config", "digits_cnn", *small, *QUICK, "--trainer.limit_train_batches", "2")[0] == 0
    export = ("export", "--ckpt_path", "runs/digits_cnn/version_0/checkpoints/last.ckpt", "--format")
    first, second, last = run(*export, "torch")[1].splitlines()
    assert first.startswith("compared with the model on 32 test samples and 3 batches of other sizes, in PyTorch ")
    assert re.fullmatch(
        r"largest differences: probabilities .* \(allowed: 1e-05\), logits .* \(allowed: \de-0\d\)", second
    )
    assert last == "LitCNN in runs/digits_cnn/version_0/torch"
    (line,) = use(Path("runs/digits_cnn/version_0/torch"), programs, changes={})
    assert re.fullmatch(r"\d 0\.\d+", line)
    assert run(*export, "torch")[1].splitlines()[-1] == "LitCNN in runs/digits_cnn/version_0/torch_2"
    assert run(*export, "html", "--output", "page.html")[1].splitlines()[-1] == "LitCNN in page.html"
    line = error(run, *export, "html", "--output", "page.html")
    assert line == "page.html exists already and is not overwritten; give --output another name"
    assert error(run, *export, "html", "--output", "page") == "page does not end in .html: give the file another name"


def test_a_table_model_is_used_by_the_lines_of_its_readme(run: Run, programs: Programs) -> None:
    rows = [f"{i},{'abc'[i % 3]},{'yes' if i % 2 else 'no'}" for i in range(40)]
    Path("t.csv").write_text("\n".join(["size,kind,label", *rows]) + "\n", encoding="utf-8")
    fit = ("fit", "--model", "LitMLP", "--data", "TableDataModule", "--data.train_file", "t.csv", *QUICK)
    assert run(*fit, "--experiment", "table")[0] == 0
    checkpoint = "runs/table/version_0/checkpoints/last.ckpt"
    assert run("export", "--format", "torch", "--ckpt_path", checkpoint)[0] == 0
    row = re.search(r"^row = (.*)$", Path("runs/table/version_0/torch/README.md").read_text(), re.MULTILINE)
    assert row
    Path("row.csv").write_text("size,kind\n31,b\n", encoding="utf-8")
    changes = {row[1]: repr({"size": 31, "kind": "b"})}
    (line,) = use(Path("runs/table/version_0/torch"), programs, changes=changes)
    (expected,) = run("predict", "--ckpt_path", checkpoint, "--inputs", "row.csv", "--output", "-")[1].splitlines()
    assert line.split()[0] == json.loads(expected)["label"]
    assert float(line.split()[1]) == pytest.approx(json.loads(expected)["probability"], abs=1e-5)


def test_the_data_may_be_others_if_their_sizes_fit(run: Run) -> None:
    fit = ("fit", "--config", "xor_mlp", "--trainer.max_epochs", "1", "--data.passes", "5", "--trainer.logger", "false")
    assert run(*fit)[0] == 0
    checkpoint = "runs/xor_mlp/version_0/checkpoints/last.ckpt"
    out = run("export", "--format", "torch", "--ckpt_path", checkpoint)[1]
    assert out.startswith("compared with the model on 4 ")
    words = ("export", "--format", "torch", "--ckpt_path", checkpoint, "--data", "MNISTDataModule")
    assert run(*words)[0] == 2  # MNIST has other sizes than the weights


@pytest.mark.parametrize("missing", ["onnxruntime", "onnxscript"])
def test_a_missing_package_is_one_line(missing: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_models.export.files.find_spec", lambda package: None if package == missing else True)
    line = error(run, "export", "--format", "onnx", "--ckpt_path", "x.ckpt")
    assert line == f"export --format onnx needs {missing}: pip install 'lit-models[export]'"
