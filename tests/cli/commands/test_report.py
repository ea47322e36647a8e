"""`report`, and the report at the end of `fit` and `test`."""

import json
import re
import shutil
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_models.__main__ import main
from lit_models.report.evaluation import read_evaluation, write_evaluation
from lit_models.report.page import GENERATOR
from tests.cli.conftest import Run
from tests.programs import Programs

HTML = ("--report", "html")
XOR = ("fit", "--config", "xor_mlp", "--data.passes", "20", "--trainer.max_epochs", "2", "--trainer.callbacks", "[]")
TEXTS = ("fit", "--config", "text_rnn", "--trainer.max_epochs", "2", "--trainer.accelerator", "cpu")
FOLDER = Path("runs/xor_mlp/version_0")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a run of XOR that has a report, and what the command printed."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out:
        patch.chdir(folder)
        patch.setenv("LIT_MODELS_STATE", str(folder / "state"))
        assert main([*XOR, *HTML]) == 0
    return folder, out.getvalue()


@pytest.fixture
def xor(made: tuple[Path, str], empty_folder: Path) -> str:
    """The same run in the current folder; returns what the command printed."""
    shutil.copytree(made[0] / "runs", empty_folder / "runs")
    return made[1]


def results(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_fit_and_test_leave_a_report_and_overwrite_none(run: Run, xor: str) -> None:
    assert f"report in {FOLDER}/report.html" in xor.splitlines()
    first = (FOLDER / "report.html").read_text()
    content = results(FOLDER / "results.json")
    assert (content["report"], content["evaluation"]) == ("report.html", "evaluation.npz")
    assert f"<td>test/loss</td><td>{content['metrics']['test/loss']:.4f}</td>" in first
    words = ["python", "-m", "lit_models", "fit", "--config", "xor_mlp", "--data.passes", "20"]
    assert " ".join(f'<span class="word">{word}</span>' for word in words) in first
    assert re.search(r"Made by lit-models in \d+\.\d s", first)
    evaluation = read_evaluation(FOLDER / "evaluation.npz")
    assert evaluation.correct.mean() == content["metrics"]["test/acc"]
    assert evaluation.surface is not None
    assert evaluation.surface.steps.tolist() == [0, 1, 3, 10, 32, 40]
    status, out, _ = run("test", "--ckpt_path", f"{FOLDER}/checkpoints/last.ckpt", *HTML)
    assert (status, out.splitlines()[-1]) == (0, f"report in {FOLDER}/report_2.html")
    assert (FOLDER / "report.html").read_text() == first
    assert results(FOLDER / "test.json")["evaluation"] == "evaluation_2.npz"
    again = read_evaluation(FOLDER / "evaluation_2.npz")
    assert np.array_equal(again.predictions, evaluation.predictions)


def test_without_a_report_nothing_of_it_is_written_or_imported(empty_folder: Path, programs: Programs) -> None:
    program = empty_folder / "program.py"
    show = "print(sorted({'matplotlib', 'lit_models.report.page'} & sys.modules.keys()))"
    program.write_text(f"import sys\nfrom lit_models.__main__ import main\nassert main(sys.argv[1:]) == 0\n{show}\n")
    done = programs.run("program.py", *XOR, "--report", "none", folder=empty_folder)
    assert (done.status, done.out.splitlines()[-1]) == (0, "[]"), done.err
    assert not list(FOLDER.glob("report*"))
    assert not list(FOLDER.glob("evaluation*"))
    assert results(FOLDER / "results.json").keys().isdisjoint({"report", "evaluation"})


def test_a_variable_leaves_reports_out_and_must_be_valid(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_MODELS_REPORT", "pdf")
    assert run(*XOR)[::2] == (2, "error: LIT_MODELS_REPORT must be html or none, got 'pdf'\n")
    monkeypatch.setenv("LIT_MODELS_REPORT", "none")
    assert run(*XOR)[0] == 0
    assert not (FOLDER / "report.html").exists()


def test_a_report_that_fails_does_not_cost_the_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise RuntimeError("no ink\nat all")

    with monkeypatch.context() as broken:
        broken.setattr("lit_models.report.page.render", fail)
        status, out, err = run(*XOR, *HTML)
    again = f"python -m lit_models report {FOLDER}"
    assert (status, err) == (0, "")
    assert f"warning: no report: RuntimeError: no ink; make it with: {again}" in out.splitlines()
    assert run("report", str(FOLDER)) == (0, f"report in {FOLDER}/report.html\n", "")
    assert "Decision surface" in (FOLDER / "report.html").read_text()
    assert run("report", str(FOLDER))[1] == f"report in {FOLDER}/report.html, in place of the earlier one\n"


@pytest.mark.usefixtures("xor")
def test_a_report_that_was_interrupted_is_made_by_the_resumed_run(run: Run) -> None:
    (FOLDER / "report.html").unlink()
    status, out, _ = run("fit", "--resume", str(FOLDER))
    assert (status, out.splitlines()[-1]) == (0, f"report in {FOLDER}/report.html")
    assert run("fit", "--resume", str(FOLDER))[1].count("report in") == 0


def test_a_text_shows_the_words_that_moved_the_answer(run: Run, colours: Path) -> None:
    assert run(*TEXTS, "--data.train_file", str(colours), *HTML)[0] == 0
    folder = Path("runs/text_rnn/version_0")
    evaluation = read_evaluation(folder / "evaluation.npz")
    assert evaluation.split == "val"  # there is no test file, so that it is the validation part
    assert evaluation.names == ("blue", "green", "red")
    assert evaluation.correct.mean() == pytest.approx(results(folder / "results.json")["metrics"]["val/acc"])
    words = {word for line in colours.read_text().splitlines() for word in line.partition(",")[0].split()}
    assert evaluation.mistakes
    for mistake in evaluation.mistakes:
        assert len(mistake.words) == len(mistake.weights) == 2
        assert set(mistake.words) <= words
    text = (folder / "report.html").read_text()
    assert "Each text is predicted again without each of its words" in text
    assert "The validation split" in text


def test_tokens_of_a_checkpoint_are_words_too(run: Run, reviews: Path, bert_checkpoint: Path) -> None:
    rows = [f"the {word} film was so {word},{label}" for word, label in (("bad", "neg"), ("great", "pos"))] * 20
    (reviews / "rows.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    words = ("fit", "--config", "text_bert", "--model.checkpoint", str(bert_checkpoint), "--trainer.max_epochs", "1")
    data = ("--data.train_file", f"{reviews}/rows.csv", "--data.test_file", f"{reviews}/rows.csv")
    assert run(*words, *data, "--model.lr", "1e-9", "--trainer.accelerator", "cpu", *HTML)[0] == 0
    mistakes = read_evaluation(Path("runs/text_bert/version_0/evaluation.npz")).mistakes
    assert {mistake.words[1:3] for mistake in mistakes} <= {("bad", "film"), ("great", "film")}
    assert {len(mistake.words) for mistake in mistakes} == {6}  # [CLS] and [SEP] only mark a place
    assert any(any(mistake.weights) for mistake in mistakes)


def test_an_image_is_a_picture(run: Run) -> None:
    words = ("fit", "--config", "digits_cnn", "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "3")
    assert run(*words, *HTML)[0] == 0
    folder = Path("runs/digits_cnn/version_0")
    evaluation = read_evaluation(folder / "evaluation.npz")
    assert evaluation.pictures is not None
    assert evaluation.pictures.shape == (12, 28, 28)
    assert (folder / "report.html").read_text().count("data:image/png;base64,") == 12


def test_a_module_of_anybody_has_its_curves(empty_folder: Path, programs: Programs) -> None:
    for name in ("plain.py", "points.py"):
        (empty_folder / name).write_text((Path(__file__).parents[2] / "strangers/files" / name).read_text())
    words = ("fit", "--model", "plain.Trained", "--data", "points.Points", "--trainer.max_epochs", "3")
    done = programs.run("-m", "lit_models", *words, *HTML, folder=empty_folder)
    assert (done.status, done.err) == (0, "")
    assert "report in runs/Trained-Points/version_0/report.html" in done.out.splitlines()
    text = Path("runs/Trained-Points/version_0/report.html").read_text()
    assert "The run kept no evaluated samples" in text
    assert 'aria-label="learning curves"' in text
    assert "test_loss" in text


@pytest.mark.usefixtures("xor")
def test_runs_are_compared(run: Run) -> None:
    other = FOLDER.with_name("version_1")
    shutil.copytree(FOLDER, other)
    config = (FOLDER / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace("seed_everything: 0", "seed_everything: 1"))
    evaluation = read_evaluation(FOLDER / "evaluation.npz")
    perfect = replace(evaluation, predictions=np.eye(2)[evaluation.targets], mistakes=())
    write_evaluation(perfect, other / "evaluation.npz")
    assert run("report", str(FOLDER), str(other)) == (0, "report in comparison.html\n", "")
    text = Path("comparison.html").read_text()
    assert "<tr><td>seed_everything</td><td>0</td><td>1</td></tr>" in text
    wrong = int((~evaluation.correct).sum())
    assert wrong > 0
    assert f"<b>{wrong / 4:+.4f}</b>accuracy of B minus that of A" in text
    assert f"<b>{wrong} / 0</b>right only in B / A" in text


@pytest.fixture
def finished() -> Path:
    """A small run folder that has no samples."""
    FOLDER.mkdir(parents=True)
    (FOLDER / "config.yaml").write_text("model: x\n")
    (FOLDER / "metrics.csv").write_text("epoch,step,train/loss,val/loss\n0,9,0.5,\n0,9,,0.6\n1,19,0.4,nan\n")
    (FOLDER / "results.json").write_text(json.dumps({"command": "fit", "metrics": {"train/loss": 0.4}}))
    return FOLDER


def test_the_page_is_not_written_to_standard_output(run: Run, finished: Path) -> None:
    line = "error: --output -: this command does not write to standard output; name a file\n"
    assert run("report", str(finished), "--output", "-")[::2] == (2, line)


def test_a_file_of_somebody_else_is_not_replaced(run: Run, finished: Path) -> None:
    for words, path in (((str(finished),), finished / "report.html"), ((str(finished),) * 2, Path("comparison.html"))):
        path.write_text("my notes")
        line = f"error: {path} exists, and this program did not write it: name another --output, or add --force\n"
        assert run("report", *words)[::2] == (2, line)
        assert path.read_text() == "my notes"
        assert run("report", *words, "--output", "other.html", "--force")[0] == 0
        assert run("report", *words, "--force")[0] == 0
        assert GENERATOR in path.read_text()


def test_a_damaged_or_missing_part_is_a_note(run: Run, finished: Path) -> None:
    content = {"command": "fit", "metrics": {}, "evaluation": "evaluation.npz", "report": "../../../elsewhere.html"}
    (finished / "results.json").write_text(json.dumps(content))
    (finished / "evaluation.npz").write_bytes(b"PK\x03\x04 no")
    (finished / "metrics.csv").write_text("epoch,step,train/loss\n0,1,1e300\n")
    assert run("report", str(finished))[0] == 0
    text = (finished / "report.html").read_text()
    assert f"{finished}/evaluation.npz is damaged" in text
    assert f"{finished}/metrics.csv is damaged: it is not a table of numbers" in text
    (finished / "results.json").unlink()
    assert run("report", str(finished))[0] == 0
    assert "The run is not finished" in (finished / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "report: not given: RUN, the folder of a run such as runs/digits_cnn/version_0"),
        (("nothing",), "no run folder nothing: name one such as runs/digits_cnn/version_0"),
        (("runs",), "runs is not a run folder: it has no config.yaml and no results.json"),
        ((str(FOLDER), "--outptu", "x"), "unknown flag --outptu, did you mean --output?"),
        ((str(FOLDER),) * 21, "report compares at most 20 runs, got 21"),
        (
            (str(FOLDER), "--output", f"{FOLDER}/config.yaml/x"),
            f"{FOLDER}/config.yaml/x cannot be written: File exists",
        ),
    ],
)
def test_mistakes_are_one_line(run: Run, finished: Path, words: tuple[str, ...], line: str) -> None:
    assert run("report", *words)[::2] == (2, f"error: {line}\n")


OWN = '''"""A classifier of points of the user's own, and one whose predictions fail."""

from torch import nn

from lit_models import LitClassifier


class Line(nn.Module):
    def __init__(self, num_outputs: int = 1) -> None:
        super().__init__()
        self.layer = nn.Linear(2, num_outputs)

    def forward(self, points):
        return self.layer(points)


class Own(LitClassifier, network=Line):
    """A classifier."""

    accepts = frozenset({"features"})


class Broken(Own):
    """Its probabilities cannot be computed."""

    def predictions(self, outputs):
        raise RuntimeError("no probabilities")
'''


@pytest.mark.parametrize(("name", "kept"), [("Own", True), ("Broken", False)])
def test_a_classifier_of_the_users_own_has_its_results_and_a_report(
    name: str, kept: bool, empty_folder: Path, programs: Programs
) -> None:
    (empty_folder / "own.py").write_text(OWN)
    words = ("fit", "--model", f"own.{name}", "--data", "XORDataModule", "--trainer.max_epochs", "1", *HTML)
    done = programs.run("-m", "lit_models", *words, folder=empty_folder)
    assert done.status == 0, done.err
    folder = next(empty_folder.glob("runs/*/version_0"))
    assert (folder / "report.html").exists()
    assert ("evaluation" in results(folder / "results.json")) == kept
    assert ("warning: the report has no samples: RuntimeError: no probabilities" in done.out) != kept


@pytest.mark.usefixtures("xor")
def test_a_damaged_file_of_an_earlier_test_does_not_cost_the_next_one(run: Run) -> None:
    (FOLDER / "test.json").write_text("")
    status, *_ = run("test", "--ckpt_path", str(FOLDER / "checkpoints/last.ckpt"), *HTML)
    assert status == 0
    assert results(FOLDER / "test_2.json")["metrics"]
