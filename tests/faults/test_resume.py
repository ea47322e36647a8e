"""A run that is killed or stopped at any moment and resumed ends as the run that was never touched, bit for bit."""

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.strangers.conftest import Stranger

from .conftest import Faults

KILLER = Path(__file__).parent / "killer.py"
PROMISE = "A resumed run ends bit-identical, in the same folder"
EVERY_STEP = ("--trainer.callbacks+=killer.Killer", "--save_every", "1", "--trainer.accelerator", "cpu")
LOG = ("--trainer.log_every_n_steps", "2")
PLAIN = ("fit", "--model", "killer.Everything", "--data", "points.Points", "--trainer.max_epochs", "2", *LOG)
DIGITS = (
    *(
        "fit",
        "--config",
        "digits_cnn",
        "--model.dropout",
        "0.3",
        "--model.schedule",
        "cosine",
        "--data.augment",
        "true",
    ),
    *("--trainer.max_epochs", "2", "--trainer.limit_train_batches", "8", *LOG),
)
TEXTS = (
    *("--data", "TextDataModule", "--data.train_file", "texts.csv", "--data.test_file", "texts.csv"),
    *("--data.val_fraction", "0.2", "--data.batch_size", "8", "--trainer.max_epochs", "2", *LOG),
)
STOPPING = (
    *("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor", "val_loss"),
    *("--trainer.callbacks.min_delta", "100", "--trainer.callbacks.patience", "1"),
)
CASES: dict[str, tuple[str, ...]] = {
    "any module, shuffled, dropout, schedule": PLAIN,
    "accumulation, validation every 7 batches": (
        *(*PLAIN, "--trainer.accumulate_grad_batches", "4"),
        *("--trainer.val_check_interval", "7", "--trainer.check_val_every_n_epoch", "null"),
    ),
    "accumulation, validation inside the epoch": (
        *PLAIN,
        *("--trainer.accumulate_grad_batches", "4", "--trainer.val_check_interval", "0.5"),
    ),
    "a loader with its own random generator": (*PLAIN[:4], "points.Ordered", *PLAIN[5:]),
    "early stopping": (*PLAIN[:6], "5", *LOG, *STOPPING),
    "weights in bfloat16, a limit of time": (
        *PLAIN,
        *("--trainer.precision", "bf16-true", "--trainer.max_time", "00:01:00:00"),
    ),
    "a stream of samples": (
        *(*PLAIN[:4], "points.Streamed", *LOG),
        *("--trainer.max_steps", "20", "--trainer.max_epochs", "-1"),
    ),
    "a number of steps": (*PLAIN[:5], "--trainer.max_steps", "20", "--trainer.max_epochs", "-1", *LOG),
    "LitCNN, dropout, augmentation, cosine schedule": DIGITS,
    "LitCNN with 2 loader workers": (*DIGITS, "--data.num_workers", "2"),
    "LitMLP on XOR": ("fit", "--config", "xor_mlp", "--data.passes", "20", "--trainer.max_epochs", "2"),
    "LitRNN, simple, dropout": ("fit", "--model", "LitRNN", "--model.dropout", "0.3", *TEXTS),
    "LitRNN, LSTM": ("fit", "--model", "LitRNN", "--model.cell", "lstm", "--model.schedule", "linear", *TEXTS),
    "LitRNN, GRU, dropout": ("fit", "--model", "LitRNN", "--model.cell", "gru", "--model.dropout", "0.2", *TEXTS),
    "LitTransformer, dropout": ("fit", "--model", "LitTransformer", "--model.dropout", "0.1", *TEXTS),
    "LitBERT, dropout": ("fit", "--model", "LitBERT", *TEXTS),
}
BATCHES = {
    "a number of steps": 12,
    "LitMLP on XOR": 20,
    "any module, shuffled, dropout, schedule": 12,
    "a loader with its own random generator": 12,
    "early stopping": 12,
    "weights in bfloat16, a limit of time": 12,
    "a stream of samples": 12,
}
AT_STEPS = "on_train_batch_end"
ELSEWHERE = [
    "on_validation_batch_end 1",
    "on_validation_end 1",
    "on_train_epoch_end 1",
    "on_fit_end 1",
    "on_test_batch_end 1",
    "on_test_end 1",
]


def digest(content: Any) -> str:
    """SHA-256 over all numbers and names in nested tensors and plain values."""
    total = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, torch.Tensor):
            total.update(
                f"{part.dtype}{tuple(part.shape)}".encode() + part.reshape(-1).view(torch.uint8).numpy().tobytes()
            )
        elif isinstance(part, dict):
            for name, value in part.items():
                total.update(str(name).encode())
                add(value)
        elif isinstance(part, list | tuple):
            for value in part:
                add(value)
        else:
            total.update(repr(part).encode())

    add(content)
    return total.hexdigest()


def left(run: Path) -> dict[str, Any]:
    """What a finished run has left, as far as it must not depend on stops."""
    last, best = run / "checkpoints/last.ckpt", run / "checkpoints/best.ckpt"
    content = torch.load(last, weights_only=True)
    return {
        **{name: digest(content[name]) for name in ("state_dict", "optimizer_states", "lr_schedulers")},
        "best": digest(torch.load(best, weights_only=True)["state_dict"]) if best.exists() else "none",
        "metrics.csv": (run / "metrics.csv").read_bytes(),
        "results": json.loads((run / "results.json").read_text())["metrics"],
        "samples of the report": (run / "evaluation.npz").read_bytes() if (run / "report.html").exists() else None,
    }


def texts(path: Path) -> None:
    """60 short texts of two classes."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text", "label"])
        for i in range(60):
            words = f"good film {i} {'so ' * (i % 7)}" if i % 2 else f"bad film {i} oh no"
            table.writerow([words, "pos" if i % 2 else "neg"])


class Killed:
    """A command that is killed at chosen moments and resumed.

    Args:
        stranger: who runs it.
        words: the command.
    """

    def __init__(self, stranger: Stranger, words: tuple[str, ...], *, processes: int = 1) -> None:
        self.stranger, self.words = stranger, (*words, *EVERY_STEP)
        self.runs = stranger.runs if processes == 1 else stranger.fresh
        if processes > 1:
            self.words += ("--trainer.devices", str(processes), "--trainer.strategy", "ddp")
        stranger.has(KILLER, "plain.py", "points.py")
        texts(stranger.folder / "texts.csv")
        whole = self.runs(*self.words, "--experiment", "whole")
        assert whole.status == 0, whole.err
        self.whole = left(stranger.folder / "runs/whole/version_0")
        self.run = stranger.folder / "runs/cut/version_0"

    def survives(self, *moments: str, status: int = -9) -> bool:
        """Whether the run that is killed at these moments, one after the other, ends as the whole one."""
        shutil.rmtree(self.run.parent, ignore_errors=True)
        order = self.stranger.folder / "kill.txt"
        resume = ("fit", "--resume", "runs/cut/version_0")
        for i, moment in enumerate(moments):
            order.write_text(moment if len(moment.split()) == 3 else f"{moment} SIGKILL")
            done = self.runs(*(resume if i else (*self.words, "--experiment", "cut")))
            assert done.status == status, f"{moment}: {done.err}{done.out}"
            order.unlink()
        done = self.runs(*resume)
        assert done.status == 0, f"{moments}: {done.err}"
        assert "not taken over" not in done.out  # config.yaml has the callback that kills
        assert [path.name for path in self.run.parent.iterdir()] == ["version_0"]
        return left(self.run) == self.whole


def moments(name: str, *, few: int, faults: Faults) -> list[str]:
    """The moments at which a case is killed."""
    steps = [f"{AT_STEPS} {i}" for i in range(1, BATCHES.get(name, 6) + 2)]
    others = [moment for moment in ELSEWHERE if name != "LitMLP on XOR" or "validation" not in moment]
    return faults.sample([*steps, *others], few)


@pytest.mark.parametrize("name", [*list(CASES)[:2], "LitCNN, dropout, augmentation, cosine schedule"])
def test_a_killed_run_goes_on_exactly(name: str, stranger: Stranger, faults: Faults) -> None:
    killed = Killed(stranger, CASES[name])
    tried = moments(name, few=3, faults=faults)
    faults.record(PROMISE, f"SIGKILL: {name}", tried=len(tried), kept=sum(killed.survives(m) for m in tried))


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in list(CASES)[2:] if not n.startswith("LitCNN, dropout")])
def test_a_killed_run_of_every_model_goes_on_exactly(name: str, stranger: Stranger, faults: Faults) -> None:
    killed = Killed(stranger, CASES[name])
    tried = moments(name, few=4, faults=faults)
    faults.record(PROMISE, f"SIGKILL: {name}", tried=len(tried), kept=sum(killed.survives(m) for m in tried))


def test_a_run_that_is_killed_twice_in_one_epoch_goes_on_exactly(stranger: Stranger, faults: Faults) -> None:
    killed = Killed(stranger, PLAIN)
    twice = [(f"{AT_STEPS} 5", f"{AT_STEPS} 2"), (f"{AT_STEPS} 13", f"{AT_STEPS} 4", f"{AT_STEPS} 3")]
    tried = faults.sample(twice, 1)
    faults.record(PROMISE, "SIGKILL twice in an epoch", tried=len(tried), kept=sum(killed.survives(*m) for m in tried))


LAST = ("--test_weights", "last")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "processes", "words"),
    [
        ("LitCNN", 2, DIGITS),
        ("any module", 2, (*PLAIN, *LAST)),  # a val_loss that differs between the processes
        ("any module", 3, (*PLAIN, *LAST)),  # sums whose order counts
        ("no validation", 2, (*PLAIN, *LAST, "--trainer.limit_val_batches", "0")),  # BatchNorm differs in the test
        ("early stopping", 2, (*PLAIN[:6], "5", *LOG, *STOPPING, *LAST)),
    ],
)
def test_a_killed_run_of_several_processes_goes_on_exactly(
    name: str, processes: int, words: tuple[str, ...], stranger: Stranger, faults: Faults
) -> None:
    killed = Killed(stranger, words, processes=processes)
    places = [f"{AT_STEPS} 7", "on_fit_end 1", f"{AT_STEPS} 3", f"{AT_STEPS} 5", "on_train_epoch_end 1"]
    tried = places if faults.report is not None else places[:2]
    kept = sum(killed.survives(moment) for moment in tried)
    faults.record(PROMISE, f"SIGKILL of the first of {processes} processes: {name}", tried=len(tried), kept=kept)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_signal_ends_a_long_validation_which_the_resumed_run_repeats(
    processes: int, stranger: Stranger, faults: Faults
) -> None:
    killed = Killed(stranger, (*PLAIN, "--data.batch_size", "2"), processes=processes)
    (stranger.folder / "kill.txt").write_text("on_validation_batch_end 1 SIGTERM")
    (stranger.folder / "seconds.txt").write_text("5")  # 30 seconds or more in all
    done = killed.runs(*killed.words, "--experiment", "cut")
    advice = "go on with: python -m lit_models fit --resume runs/cut/version_0\n"
    line = f"terminated; the last checkpoint is in runs/cut/version_0; {advice}"
    assert done.status == 143
    assert done.err.endswith(line)  # Lightning says before that it has found the other process
    assert "Traceback" not in done.err
    for name in ("kill.txt", "seconds.txt"):
        (stranger.folder / name).unlink()
    assert killed.runs("fit", "--resume", "runs/cut/version_0").status == 0
    kept = int(left(killed.run) == killed.whole)
    faults.record(PROMISE, f"SIGTERM in a long validation, processes: {processes}", tried=1, kept=kept)


def test_a_signal_ends_the_test_which_the_resumed_run_repeats(stranger: Stranger, faults: Faults) -> None:
    killed = Killed(stranger, PLAIN)
    (stranger.folder / "kill.txt").write_text("on_test_batch_end 1 SIGTERM")
    done = killed.runs(*killed.words, "--experiment", "cut")
    advice = "go on with: python -m lit_models fit --resume runs/cut/version_0\n"
    assert (done.status, done.err) == (143, f"terminated; the last checkpoint is in runs/cut/version_0; {advice}")
    (stranger.folder / "kill.txt").unlink()
    assert killed.runs("fit", "--resume", "runs/cut/version_0").status == 0
    faults.record(PROMISE, "SIGTERM in the test after training", tried=1, kept=int(left(killed.run) == killed.whole))


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("SIGINT", 130, "interrupted"),
        ("SIGTERM", 143, "terminated"),
        ("SIGHUP", 129, "terminated, as the terminal was closed"),
    ],
)
def test_a_signal_stops_after_the_step_and_says_how_to_go_on(
    name: str, status: int, said: str, stranger: Stranger, faults: Faults
) -> None:
    killed = Killed(stranger, PLAIN)
    (stranger.folder / "kill.txt").write_text(f"{AT_STEPS} 5 {name}")
    words = [*killed.words, "--experiment", "said", "--save_every", "epoch"]
    done = stranger.runs(*words)
    assert (done.status, done.err) == (
        status,
        f"{said}; go on with: python -m lit_models fit --resume runs/said/version_0\n",
    )
    (stranger.folder / "kill.txt").unlink()
    assert stranger.runs("fit", "--resume", "runs/said/version_0").status == 0
    kept = left(stranger.folder / "runs/said/version_0") == killed.whole
    faults.record(PROMISE, name, tried=1, kept=int(kept))


def test_a_run_that_is_killed_before_its_first_checkpoint_begins_again(stranger: Stranger, faults: Faults) -> None:
    killed = Killed(stranger, (*PLAIN, "--trainer.accumulate_grad_batches", "6"))
    faults.record(PROMISE, "SIGKILL before the first checkpoint", tried=1, kept=int(killed.survives(f"{AT_STEPS} 3")))


HTML = ("--report", "html")


@pytest.mark.parametrize(
    ("words", "moment"),
    [
        ((*CASES["LitMLP on XOR"], *HTML), f"{AT_STEPS} 15"),  # between two of the stages of its surface
        pytest.param(  # after the last validation
            (*DIGITS, *HTML, "--test_weights", "none"), "on_fit_end 1", marks=pytest.mark.slow
        ),
    ],
)
def test_a_killed_run_has_the_same_report(
    words: tuple[str, ...], moment: str, stranger: Stranger, faults: Faults
) -> None:
    killed = Killed(stranger, words)
    assert killed.whole["samples of the report"] is not None
    faults.record(PROMISE, "SIGKILL: the samples of the report", tried=1, kept=int(killed.survives(moment)))


def test_a_finished_run_says_how_to_train_longer(stranger: Stranger) -> None:
    killed = Killed(stranger, ("fit", "--model", "plain.Trained", *PLAIN[3:]))
    folder = "runs/whole/version_0"
    done = stranger.runs("fit", "--resume", folder)
    line = f"{folder} is finished: see {folder}/results.json; --trainer.max_epochs trains it longer"
    assert (done.status, done.out.splitlines()[-1], done.err) == (0, line, "")
    changed = ("--trainer.accumulate_grad_batches", "2", "--seed_everything", "5")
    done = stranger.runs("fit", "--resume", "runs/whole/version_0", "--trainer.max_epochs", "3", *changed)
    assert done.status == 0, done.err
    for name, now, was in (("trainer.accumulate_grad_batches", 2, 1), ("seed_everything", 5, 0)):
        assert f"note: {name} is {now}, and was {was} when the checkpoint was made" in done.out.splitlines()
    second = json.loads((stranger.folder / "runs/whole/version_0/results_2.json").read_text())
    assert second["steps"] == 2 * 12 + 12 / 2  # one step for two batches, as the flag says
    assert killed.whole["results"] == stranger.results("whole")["metrics"]  # the first results stay
    assert json.loads((stranger.folder / "runs/whole/version_0/results_2.json").read_text())["epochs"] == 3
    assert "max_epochs: 3" in (stranger.folder / "runs/whole/version_0/config_2.yaml").read_text()


def test_a_schedule_of_a_fixed_length_is_not_trained_longer_and_nothing_changes(stranger: Stranger) -> None:
    killed = Killed(stranger, PLAIN)
    folder = "runs/whole/version_0"
    # 96 points in batches of 8 are 12 steps an epoch: 24 in 2 epochs, 48 in 4.
    message = "error: the checkpoint's OneCycleLR has 24 steps, and this training has 48: "
    for words in (("--resume", folder), ("--ckpt_path", f"{folder}/checkpoints/last.ckpt")):
        line = stranger.refused("fit", *words, "--trainer.max_epochs", "4")
        assert line.startswith(message)
    assert not (stranger.folder / folder / "config_2.yaml").exists()
    assert left(stranger.folder / folder) == killed.whole


def test_resuming_what_is_no_run_is_one_line(stranger: Stranger) -> None:
    expected = "expected a folder with config.yaml, such as runs/x/version_0"
    assert stranger.refused("fit", "--resume", "nothing") == f"error: nothing is not a run folder: {expected}"
    line = stranger.refused("fit", "--resume", "nothing", "--ckpt_path", "x.ckpt")
    assert line == "error: resume and ckpt_path both name a checkpoint: leave one out"
    line = stranger.refused("fit", "--config", "xor_mlp", "--save_every", "often")
    expected = "expected steps such as 500, a time such as 30s or 5min, or epoch"
    assert line == f"error: save_every is 'often', {expected}"
