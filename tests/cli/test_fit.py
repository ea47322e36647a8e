"""What `fit` prints and leaves behind, and that the file alone is enough afterwards."""

import csv
import hashlib
import json
import subprocess
from pathlib import Path

import pytest
import torch
import yaml

from lit_models import LitCNN, LitMLP

from .conftest import Run

DIGITS = ("fit", "--config", "digits_cnn", "--trainer.max_epochs", "2", "--trainer.limit_train_batches", "5")


def head_of_checkout() -> str:
    """The commit of this checkout; "None" in a copy that is none."""
    words = ["git", "rev-parse", "HEAD"]
    answer = subprocess.run(words, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "None"


def test_xor_prints_the_error_every_1000_passes_and_four_predictions(run: Run) -> None:
    # 3,000 passes at a rate of 0.4 go further than 10,000 passes at 0.1; check-slow makes all passes, for 20 seeds.
    status, out, _ = run("fit", "--config", "xor_mlp", "--model.lr", "0.4", "--trainer.max_epochs", "3")
    assert status == 0
    lines = out.splitlines()
    errors = [line for line in lines if line.startswith("pass")]
    assert [line.split()[1] for line in errors] == ["0", "1,000", "2,000"]
    values = [float(line.split()[-1]) for line in errors]
    assert values[0] > 0.4
    assert values[-1] < 0.1
    rows = [line for line in lines if "=>" in line]
    assert [row.split("]")[0] for row in rows] == ["[0 0", "[0 1", "[1 0", "[1 1"]
    for row, target in zip(rows, (0, 1, 1, 0), strict=True):
        assert abs(float(row.split("=> ")[1].split()[0]) - target) < 0.1  # the bound for a solved XOR
        assert f"(target {target})" in row


def test_a_run_leaves_its_whole_folder_and_nothing_else(run: Run, empty_folder: Path) -> None:
    status, out, _ = run(*DIGITS)
    assert status == 0
    folder = Path("runs/digits_cnn/version_0")
    assert [p.name for p in empty_folder.iterdir()] == ["runs"]
    names = {p.name for p in folder.iterdir()}
    assert {"config.yaml", "checkpoints", "metrics.csv", "results.json"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert {p.name for p in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt", "previous.ckpt"}
    results = json.loads((folder / "results.json").read_text())
    assert results["test_weights"] == "best"
    assert results["seed"] == 0
    assert str(results["commit"]).rstrip("+") == head_of_checkout()
    assert results["epochs"] == 2
    assert results["parameters"] == 93_322
    for name in ("best.ckpt", "last.ckpt"):
        content = (folder / "checkpoints" / name).read_bytes()
        assert results["checkpoint_sha256"][name] == hashlib.sha256(content).hexdigest()
    shown = [line.split() for line in out.splitlines() if line.startswith(("train ", "val ", "test "))]
    for split, loss, accuracy in shown:
        assert float(loss) == pytest.approx(results["metrics"][f"{split}/loss"], abs=5e-5)  # printed with 4 places
        assert float(accuracy) == pytest.approx(results["metrics"][f"{split}/acc"], abs=5e-5)
    assert [row[0] for row in shown] == ["train", "val", "test"]
    with (folder / "metrics.csv").open() as file:
        epochs = [row for row in csv.DictReader(file) if row["val/acc"]]
    assert len(epochs) == 2


def test_two_runs_never_share_a_folder_and_the_same_seed_gives_the_same_numbers(run: Run) -> None:
    run(*DIGITS)
    run(*DIGITS)
    run(*DIGITS, "--seed_everything", "1")
    results = [json.loads(Path(f"runs/digits_cnn/version_{i}/results.json").read_text()) for i in range(3)]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert results[0]["metrics"]["test/loss"] != results[2]["metrics"]["test/loss"]


def test_the_run_folders_config_runs_again_and_gives_the_same(run: Run) -> None:
    run(*DIGITS)
    assert run("fit", "--config", "runs/digits_cnn/version_0/config.yaml")[0] == 0
    first, second = (json.loads(Path(f"runs/digits_cnn/version_{i}/results.json").read_text()) for i in range(2))
    assert first["metrics"] == second["metrics"]
    configs = [yaml.safe_load(Path(f"runs/digits_cnn/version_{i}/config.yaml").read_text()) for i in range(2)]
    assert configs[0] == configs[1]


def test_the_checkpoint_alone_is_enough_to_test_and_gives_the_runs_own_numbers(run: Run, tmp_path: Path) -> None:
    run(*DIGITS)
    metrics = json.loads(Path("runs/digits_cnn/version_0/results.json").read_text())["metrics"]
    moved = tmp_path / "moved.ckpt"
    moved.write_bytes(Path("runs/digits_cnn/version_0/checkpoints/best.ckpt").read_bytes())
    for path, report in (
        ("runs/digits_cnn/version_0/checkpoints/best.ckpt", "runs/digits_cnn/version_0/test.json"),
        (str(moved), "runs/digits_cnn/version_1/test.json"),
    ):
        status, _, err = run("test", "--ckpt_path", path)
        assert status == 0, err
        again = json.loads(Path(report).read_text())["metrics"]
        assert again == {name: value for name, value in metrics.items() if name.startswith("test/")}
    status, _, err = run("validate", "--ckpt_path", "runs/digits_cnn/version_0/checkpoints/best.ckpt")
    assert status == 0, err
    rows = csv.DictReader(Path("runs/digits_cnn/version_0/metrics.csv").read_text().splitlines())
    best = max(float(row["val/acc"]) for row in rows if row["val/acc"])
    assert json.loads(Path("runs/digits_cnn/version_0/validate.json").read_text())["metrics"]["val/acc"] == best


def test_a_checkpoint_loads_in_a_bare_prompt(run: Run) -> None:
    run(*DIGITS)
    path = "runs/digits_cnn/version_0/checkpoints/last.ckpt"
    module = LitCNN.load_from_checkpoint(path, weights_only=True).eval()
    again = LitCNN.load_from_checkpoint(path, weights_only=True).eval()
    images = torch.rand(3, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(module(images), again(images))
    state = torch.load(path, weights_only=True)["state_dict"]
    assert all(torch.equal(state[name], weight) for name, weight in module.state_dict().items())


def test_fit_goes_on_from_the_last_checkpoint_in_the_same_folder(run: Run) -> None:
    run(*DIGITS)
    last = "runs/digits_cnn/version_0/checkpoints/last.ckpt"
    first = Path("runs/digits_cnn/version_0/results.json").read_bytes()
    status, out, err = run("fit", "--ckpt_path", last, "--trainer.max_epochs", "3")
    assert status == 0, err
    assert "epoch 3/3" in out
    assert "epoch 2/3" not in out
    assert Path("runs/digits_cnn/version_0/results.json").read_bytes() == first
    assert json.loads(Path("runs/digits_cnn/version_0/results_2.json").read_text())["epochs"] == 3


def test_fit_starts_a_new_run_from_the_best_checkpoint(run: Run) -> None:
    run(*DIGITS)
    best = "runs/digits_cnn/version_0/checkpoints/best.ckpt"
    before = Path(best).read_bytes()
    status, out, err = run("fit", "--ckpt_path", best, "--trainer.max_epochs", "3")
    assert status == 0, err
    assert f"starting from {best} in runs/digits_cnn/version_1\n" in out
    assert Path(best).read_bytes() == before
    assert json.loads(Path("runs/digits_cnn/version_1/results.json").read_text())["epochs"] == 3


def test_the_model_is_swapped_by_a_flag_and_lost_settings_are_named(run: Run) -> None:
    status, out, err = run(
        *("fit", "--config", "xor_mlp", "--config", "smoke", "--model", "LitCNN", "--data", "MNISTDataModule"),
        *("--data.dataset", "digits", "--trainer.precision", "32-true"),
    )
    assert status == 0, err
    lost, kept = "hidden_sizes, init", "activation, loss, optimizer, lr"
    assert f"note: LitCNN replaces LitMLP; of its settings, dropped {lost}; kept {kept}\n" in out
    assert "LitCNN: 93,322 trainable parameters" in out
    assert "  output (Linear)                         (B, 10)                          650\n" in out


def test_flags_stand_above_configs_and_later_configs_above_earlier_ones(run: Run, empty_folder: Path) -> None:
    (empty_folder / "mine.yaml").write_text("trainer:\n  max_epochs: 1\nmodel:\n  init_args:\n    lr: 0.01\n")
    common = ("fit", "--config", "digits_cnn", "--config", "mine.yaml", "--config", "smoke")
    assert run(*common, "--model.lr", "0.02", "--seed_everything", "7", "--experiment", "mine")[0] == 0
    config = yaml.safe_load(Path("runs/mine/version_0/config.yaml").read_text())
    assert config["trainer"]["max_epochs"] == 1
    assert config["model"]["init_args"]["lr"] == 0.02
    assert config["seed_everything"] == 7
    assert "seed" not in config["data"]["init_args"]  # derived: it follows --seed_everything when the config runs again


def test_the_environments_data_folder_stands_above_configs_and_below_flags(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "mnist.yaml"
    config.write_text(
        "model: {class_path: LitCNN}\ndata: {class_path: MNISTDataModule, init_args: {data_dir: from_config}}\n"
    )

    def unreachable(*arguments: object, **settings: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.MNIST.download", unreachable)
    monkeypatch.setenv("LIT_MODELS_DATA", "from_environment")
    assert "from_environment" in run("fit", "--config", str(config))[2]
    assert "from_flag" in run("fit", "--config", str(config), "--data.data_dir", "from_flag")[2]
    monkeypatch.delenv("LIT_MODELS_DATA")
    assert "from_config" in run("fit", "--config", str(config))[2]


def test_a_nan_loss_is_no_success(run: Run) -> None:
    status, _, err = run(*DIGITS, "--model.optimizer", "sgd", "--model.lr", "1e30")
    assert status == 2
    assert "in epoch 1, batch 2: it appeared first in network." in err
    assert "try a lower learning rate" in err
    assert not list(Path("runs").rglob("*.ckpt"))  # nothing that is not finite is kept


def test_three_seeds_of_xor_start_differently(run: Run) -> None:
    starts = set()
    for seed in range(3):
        out = run(
            "fit",
            "--config",
            "xor_mlp",
            "--trainer.max_epochs",
            "1",
            "--data.passes",
            "1",
            "--seed_everything",
            str(seed),
        )
        starts.add(next(line for line in out[1].splitlines() if line.startswith("pass")))
    assert len(starts) == 3


def test_an_mlp_of_xor_loads_in_double_precision(run: Run) -> None:
    run("fit", "--config", "xor_mlp", "--trainer.max_epochs", "1", "--data.passes", "10")
    path = "runs/xor_mlp/version_0/checkpoints/last.ckpt"
    state = torch.load(path, weights_only=True)["state_dict"]
    assert state["network.hidden.0.weight"].dtype == torch.float64
    module = LitMLP.load_from_checkpoint(path, weights_only=True)
    hidden = torch.sigmoid(state["network.hidden.0.bias"])  # of the row 0 0
    logit = state["network.output.weight"] @ hidden + state["network.output.bias"]
    torch.testing.assert_close(module(torch.zeros(1, 2, dtype=torch.float64))[0].detach(), logit, rtol=1e-14, atol=0)


def test_last_is_the_last_epoch_when_validation_is_rarer(run: Run) -> None:
    status, _, err = run(*DIGITS, "--trainer.max_epochs", "3", "--trainer.check_val_every_n_epoch", "2")
    assert status == 0, err
    content = torch.load("runs/digits_cnn/version_0/checkpoints/last.ckpt", weights_only=True)
    assert content["epoch"] == 2  # counted from 0
    assert content["global_step"] == 15  # 3 epochs of 5 batches


def test_a_finished_run_is_not_trained_on_by_mistake(run: Run) -> None:
    run(*DIGITS)
    status, _, err = run("fit", "--ckpt_path", "runs/digits_cnn/version_0/checkpoints/last.ckpt")
    assert status == 2
    assert "last.ckpt has had 2 of 2 epochs: raise --trainer.max_epochs" in err
    assert not Path("runs/digits_cnn/version_1").exists()


@pytest.mark.parametrize("flag", ["--trainer.enable_checkpointing=false", "--trainer.limit_val_batches=0"])
def test_without_a_best_checkpoint_the_last_weights_are_tested_and_it_is_said(run: Run, flag: str) -> None:
    status, out, err = run(*DIGITS, flag)
    assert status == 0, err
    assert "note: no best.ckpt was written, so the last weights are tested" in out
    assert json.loads(Path("runs/digits_cnn/version_0/results.json").read_text())["test_weights"] == "last"


def test_a_runs_config_follows_a_new_seed_and_new_data(run: Run) -> None:
    run(*DIGITS, "--trainer.max_epochs", "1")
    config = ("fit", "--config", "runs/digits_cnn/version_0/config.yaml", "--seed_everything", "3")
    assert run(*config)[0] == 0
    first, second = (json.loads(Path(f"runs/digits_cnn/version_{i}/results.json").read_text()) for i in range(2))
    assert first["metrics"]["train/loss"] != second["metrics"]["train/loss"]
    run("fit", "--config", "xor_mlp", "--data.passes", "2", "--trainer.max_epochs", "1")
    status, _, err = run("fit", "--config", "runs/xor_mlp/version_0/config.yaml", "--data.num_bits", "3")
    assert status == 0, err


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([], None),
        (["--kernels", "plain"], "kernels are set to plain"),
        (["--trainer.precision", "64-true"], "numbers are not float32"),
    ],
)
def test_the_results_name_the_kernels_that_ran(run: Run, flags: list[str], reason: str | None) -> None:
    Path("my.csv").write_text("text,label\n" + "good day,yes\nbad day,no\n" * 10, encoding="utf-8")
    fit = ("fit", "--config", "text_rnn", "--data.train_file", "my.csv", "--trainer.max_epochs", "1")
    status, _, err = run(*fit, *flags)
    assert status == 0, err
    kernels = json.loads(Path("runs/text_rnn/version_0/results.json").read_text())["kernels"]
    if reason is None:
        assert kernels == {"fast": ["Embedding", "LSTM"], "plain": {}}
    else:
        assert kernels == {"fast": [], "plain": {"Embedding": [reason], "LSTM": [reason]}}
