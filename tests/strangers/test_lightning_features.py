"""What Lightning documents of LightningCLI: callbacks, loggers, optimizers and schedules by short name, configs."""

import csv
import json

import pytest
import torch
import yaml

from .conftest import Stranger, epoch_rows

TRAINED = ("--model", "plain.Trained", "--data", "points.Points", "--experiment", "run")
PLAIN = ("--model", "plain.Plain", "--data", "points.Points", "--experiment", "run")


@pytest.fixture(autouse=True)
def files(stranger: Stranger) -> None:
    stranger.has("plain.py", "points.py")


def test_callbacks_come_from_a_config(stranger: Stranger) -> None:
    config = """
        model: plain.Trained
        data: points.Points
        trainer:
          max_epochs: 9
          callbacks:
            - class_path: EarlyStopping
              init_args: {monitor: val_loss, min_delta: 100.0, patience: 2}
            - class_path: StochasticWeightAveraging
              init_args: {swa_lrs: 0.01}
    """
    stranger.writes("early.yaml", config)
    out = stranger.succeeds("fit", "--config", "early.yaml")
    # No epoch is 100 better than the first, so the third is the second without an improvement.
    assert [line.split()[1] for line in out.splitlines() if line.startswith("epoch")] == ["1/9", "2/9", "3/9"]
    first = stranger.results("early")
    stored = yaml.safe_load((stranger.folder / "runs/early/version_0/config.yaml").read_text())
    averaging = stored["trainer"]["callbacks"][1]
    assert averaging["class_path"] == "lightning.pytorch.callbacks.StochasticWeightAveraging"
    assert averaging["init_args"]["device"] == "cpu"
    stranger.succeeds("fit", "--config", "runs/early/version_0/config.yaml", "--experiment", "again")
    assert stranger.results("again")["metrics"] == first["metrics"]


def test_configs_before_the_command_have_a_section_for_each_command(stranger: Stranger) -> None:
    model = {"model": "plain.Trained", "data": "points.Points"}
    first = {"fit": {**model, "trainer": {"max_epochs": 3}}, "test": {**model, "model": "plain.Loose"}}
    second = {"fit": {"trainer": {"max_epochs": 2, "log_every_n_steps": 4}, "data": {"init_args": {"batch_size": 12}}}}
    stranger.writes("both.yaml", yaml.safe_dump(first))
    stranger.writes("more.yaml", yaml.safe_dump(second))
    stranger.succeeds("--config", "both.yaml", "-c", "more.yaml", "fit", "--data.batch_size", "24")
    results = stranger.results("both")
    assert (results["epochs"], results["steps"]) == (2, 2 * 96 // 24)  # the second file and the flag win
    stranger.succeeds("--config=both.yaml", "test")
    assert stranger.results("both", "test.json", version=1)["model"] == "Loose"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fit:\n  modl: x\n", "c.yaml:2: a config has no setting 'modl', did you mean model?"),
        ("fit:\n  trainer:\n    max_epochs: x\n", "c.yaml:3: trainer.max_epochs: x is not valid, expected int"),
        ("fit: 3\n", "c.yaml:1: fit is not a section: write settings under it"),
        (
            "test: {}\nmodel: LitMLP\n",
            "c.yaml:2: 'model' is not a command; "
            "a config without a section for each command comes after it: COMMAND --config c.yaml",
        ),
    ],
)
def test_a_mistake_in_a_section_is_one_line_with_its_place(stranger: Stranger, text: str, message: str) -> None:
    stranger.writes("c.yaml", text)
    assert stranger.refused("--config", "c.yaml", "fit") == f"error: {message}"


def test_a_callback_comes_by_its_short_name_from_the_command_line(stranger: Stranger) -> None:
    early = ("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val_loss")
    rate = ("--trainer.callbacks+=LearningRateMonitor", "--trainer.callbacks.logging_interval=epoch")
    out = stranger.succeeds("fit", *TRAINED, *early, "--trainer.callbacks.min_delta", "100", *rate)
    assert [line.split()[1] for line in out.splitlines() if line.startswith("epoch")][-1] == "4/10"  # a patience of 3
    assert stranger.results("run")["epochs"] == 4
    with (stranger.folder / "runs/run/version_0/metrics.csv").open(newline="") as file:
        rates = [row["lr-SGD"] for row in csv.DictReader(file) if row["lr-SGD"]]
    assert set(rates) == {"0.1"}


def test_early_stopping_on_what_is_not_logged_is_one_line(stranger: Stranger) -> None:
    early = ("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val_los")
    line = stranger.refused("fit", *TRAINED, *early)
    assert line == "error: EarlyStopping: 'val_los' is not logged; logged are train_loss, val_loss"


def test_a_progress_bar_of_a_strangers_takes_the_place_of_ours(stranger: Stranger) -> None:
    flags = ("--trainer.max_epochs", "1", "--trainer.callbacks+=TQDMProgressBar")
    for shown in ("true", "false"):
        done = stranger.runs("fit", *TRAINED, *flags, "--trainer.enable_progress_bar", shown)
        assert done.status == 0, done.err
        assert "Epoch 0" in done.out + done.err


def test_a_logger_comes_by_its_short_name(stranger: Stranger) -> None:
    logger = ("--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", "own", "--trainer.logger.name", "csv")
    stranger.succeeds("fit", *TRAINED, "--trainer.max_epochs", "1", "--trainer.log_every_n_steps", "1", *logger)
    own, ours = (stranger.folder / path for path in ("own/csv/version_0/metrics.csv", "runs/run/version_0/metrics.csv"))
    assert own.read_text() == ours.read_text()
    assert "val_loss" in own.read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("flag", "package"),
    [("--trainer.logger=WandbLogger", "wandb"), ("--trainer.callbacks+=DeviceStatsMonitor", "psutil")],
)
def test_a_missing_package_is_one_line_that_says_what_to_install(stranger: Stranger, flag: str, package: str) -> None:
    # None in sys.modules makes an import fail as that of a missing package does; the metadata are hidden as well.
    stranger.writes(
        "without.py",
        "import importlib.metadata, importlib.util, runpy, sys\n"
        f"name = {package!r}\n"
        "sys.modules[name] = None\n"
        "version, find = importlib.metadata.version, importlib.util.find_spec\n"
        "def hidden(wanted):\n"
        "    if wanted == name: raise importlib.metadata.PackageNotFoundError(wanted)\n"
        "    return version(wanted)\n"
        "importlib.metadata.version = hidden\n"
        "importlib.util.find_spec = lambda wanted, *more: None if wanted == name else find(wanted, *more)\n"
        "sys.argv[0] = '-m'\n"
        "runpy.run_module('lit_models', run_name='__main__')\n",
    )
    done = stranger.python("without.py", "fit", *TRAINED, flag)
    assert (done.status, len(done.err.splitlines())) == (2, 1), done.err
    assert done.err.startswith("error: ")
    assert flag.rpartition("=")[2] in done.err
    assert f"pip install -U '{package}" in done.err


def test_a_module_without_an_optimizer_takes_one_from_the_command_line(stranger: Stranger) -> None:
    line = stranger.refused("fit", *PLAIN)
    example = "--optimizer Adam --optimizer.lr 0.001"
    assert line == f"error: Plain has no configure_optimizers: set an optimizer, such as {example}"
    optimizer = ("--optimizer", "Adam", "--optimizer.lr", "0.01", "--trainer.max_epochs", "2")
    schedule = ("--lr_scheduler", "StepLR", "--lr_scheduler.step_size", "1", "--lr_scheduler.gamma", "0.5")
    out = stranger.succeeds("fit", *PLAIN, *optimizer, *schedule)
    assert {"train_loss", "val_loss", "test_loss"} == set(stranger.results("run")["metrics"])
    assert epoch_rows(out)[-1]["val_loss"] == f"{stranger.results('run')['metrics']['val_loss']:.4f}"
    last = torch.load(stranger.folder / "runs/run/version_0/checkpoints/last.ckpt", weights_only=True)
    group = last["optimizer_states"][0]["param_groups"][0]
    assert (group["betas"], group["initial_lr"]) == ((0.9, 0.999), 0.01)  # betas: it is an Adam
    assert last["lr_schedulers"][0]["_last_lr"] == [0.01 * 0.5**2]
    for command in ("validate", "test", "predict"):
        stranger.succeeds(command, "--ckpt_path", "runs/run/version_0/checkpoints/best.ckpt")
    # The run's config holds both, and gives the same numbers.
    stranger.succeeds("fit", "--config", "runs/run/version_0/config.yaml", "--experiment", "again")
    assert stranger.results("again")["metrics"] == stranger.results("run")["metrics"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--optimizer Adan", "optimizer: no class 'Adan', did you mean Adam? (your own: file.Class)"),
        ("--optimizer SGD --optimizer.lrr 0.1", "optimizer: SGD has no setting 'lrr', did you mean lr?"),
        ("--optimizer SGD --optimizer.lr fast", "optimizer.lr: fast is not valid, expected float"),
        ("--optimizer SGD --optimizer.lr -3", "SGD: Invalid learning rate: -3.0 (--debug shows where)"),
        (
            "--optimizer SGD --lr_scheduler OneCycleLR --lr_scheduler.max_lr 1 --lr_scheduler.total_steps -1",
            "SGD and OneCycleLR: Expected positive integer total_steps, but got -1 (--debug shows where)",
        ),
        (
            "--lr_scheduler ExponentialLR --lr_scheduler.gamma 0.9",
            "lr_scheduler needs an optimizer from the command line: add --optimizer NAME",
        ),
        ("--optimizer SGD --lr_scheduler StepLR", "lr_scheduler: StepLR needs step_size: add --lr_scheduler.step_size"),
        (
            "--trainer.callbacks+=EarlyStoping",
            "trainer.callbacks: no class 'EarlyStoping', did you mean EarlyStopping? (your own: file.Class)",
        ),
        (
            "--trainer.callbacks+=EarlyStopping",
            "trainer.callbacks: EarlyStopping needs monitor: add --trainer.callbacks.monitor",
        ),
        (
            "--trainer.callbacks+=EarlyStopping --trainer.callbacks.monitr=x",
            "trainer.callbacks: EarlyStopping has no setting 'monitr', did you mean monitor?",
        ),
        (
            "--trainer.callbacks+=EarlyStopping --trainer.callbacks.patience=x",
            "trainer.callbacks.patience: x is not valid, expected int",
        ),
        (
            "--trainer.logger Wandb",
            "trainer.logger: no class 'Wandb', did you mean WandbLogger? (your own: file.Class)",
        ),
    ],
    ids=lambda value: value.rpartition("--")[2] if value.startswith("--") else "",
)
def test_a_mistake_in_a_class_or_its_settings_is_one_line(stranger: Stranger, flags: str, message: str) -> None:
    assert stranger.refused("fit", *PLAIN, *flags.split()) == f"error: {message}"


def test_a_mistake_in_a_config_has_its_line(stranger: Stranger) -> None:
    stranger.writes("early.yaml", "model: plain.Trained\ndata: points.Points\ntrainer:\n  callbacks: [EarlyStoping]\n")
    expected = "trainer.callbacks: no class 'EarlyStoping', did you mean EarlyStopping? (your own: file.Class)"
    assert stranger.refused("fit", "--config", "early.yaml") == f"error: early.yaml:4: {expected}"
    stranger.writes("empty.yaml", "model: plain.Trained\ndata: points.Points\ntrainer: null\n")
    expected = "trainer is empty: write its settings under it, or leave it out"
    assert stranger.refused("fit", "--config", "empty.yaml") == f"error: empty.yaml:3: {expected}"


def test_print_config_prints_a_complete_config_that_runs(stranger: Stranger) -> None:
    text = stranger.succeeds("fit", *TRAINED, "--data.batch_size", "4", "--trainer.max_epochs", "1", "--print_config")
    content = yaml.safe_load(text)
    assert content["model"] == {"class_path": "plain.Trained", "init_args": {"num_classes": 2, "batch_size": 0}}
    assert content["data"]["init_args"]["batch_size"] == 4
    assert content["trainer"]["max_epochs"] == 1
    assert content["seed_everything"] == 0
    stranger.writes("printed.yaml", text)
    assert not (stranger.folder / "runs").exists()
    stranger.succeeds("fit", "--config", "printed.yaml", "--experiment", "printed")
    stranger.succeeds("fit", *TRAINED, "--data.batch_size", "4", "--trainer.max_epochs", "1")
    assert stranger.results("printed")["metrics"] == stranger.results("run")["metrics"]


def test_of_several_configs_the_last_wins_and_flags_win_wherever_they_are(stranger: Stranger) -> None:
    stranger.writes("a.yaml", "model: plain.Trained\ndata: {class_path: points.Points, init_args: {batch_size: 4}}\n")
    stranger.writes("b.yaml", "data: {init_args: {batch_size: 6}}\ntrainer: {max_epochs: 3}\n")
    configs = ("--config", "a.yaml", "--config", "b.yaml", "--experiment", "run")
    stranger.succeeds("fit", "--trainer.max_epochs", "1", *configs)
    assert (stranger.results("run")["epochs"], stranger.results("run")["steps"]) == (1, 96 // 6)
    stranger.succeeds("fit", "--data.batch_size", "48", *configs)
    assert stranger.results("run", version=1)["steps"] == 3 * 96 // 48


def test_a_checkpoint_may_come_after_other_flags(stranger: Stranger) -> None:
    stranger.succeeds("fit", *TRAINED, "--trainer.max_epochs", "1", "--data.batch_size", "4")
    last = "runs/run/version_0/checkpoints/last.ckpt"
    out = stranger.succeeds("test", "--data.batch_size", "7", "--trainer.accelerator", "cpu", "--ckpt_path", last)
    assert "note: data.batch_size is 7, and was 4 when the checkpoint was made" in out
    tested = json.loads((stranger.folder / "runs/run/version_0/test.json").read_text())
    # 21 points in batches of 7, and of 4 with one left over: Lightning weighs a batch by its size.
    assert tested["metrics"]["test_loss"] == pytest.approx(stranger.results("run")["metrics"]["test_loss"], rel=1e-5)
    stranger.succeeds("fit", "--trainer.max_epochs", "2", "--ckpt_path", last)
    assert stranger.results("run", "results_2.json")["epochs"] == 2


def test_a_timer_stops_training_and_is_in_the_config(stranger: Stranger) -> None:
    timer = ("--trainer.callbacks", "Timer", "--trainer.callbacks.duration", "00:00:01:00")
    done = stranger.runs("fit", *TRAINED, "--trainer.max_epochs", "1", *timer)
    assert done.status == 0, done.err
    stored = yaml.safe_load((stranger.folder / "runs/run/version_0/config.yaml").read_text())
    settings = {"duration": "00:00:01:00", "interval": "step", "verbose": True}
    assert stored["trainer"]["callbacks"][0]["init_args"] == settings
    done = stranger.runs("fit", "--config", "runs/run/version_0/config.yaml", "--experiment", "again")
    assert done.status == 0, done.err


def test_an_optimizer_of_the_command_line_takes_the_place_of_the_modules(stranger: Stranger) -> None:
    done = stranger.runs("fit", *TRAINED, "--trainer.max_epochs", "1", "--optimizer", "Adam", "--optimizer.lr", "0.01")
    assert (done.status, "will be overridden" in done.err) == (0, True), done.err
    last = torch.load(stranger.folder / "runs/run/version_0/checkpoints/last.ckpt", weights_only=True)
    assert "betas" in last["optimizer_states"][0]["param_groups"][0]


@pytest.mark.parametrize(("flag", "advice"), [("optimizer=SGD", "optimizer"), ("lr_scheduler=ConstantLR", "schedule")])
def test_a_network_of_ours_has_its_own_optimizer_and_schedule(stranger: Stranger, flag: str, advice: str) -> None:
    name = flag.partition("=")[0]
    line = stranger.refused("fit", "--config", "digits_cnn", f"--{flag}")
    assert line == f"error: LitCNN has its own {advice}s: use --model.{advice} NAME, not --{name}"


def test_overfitting_takes_a_loader_with_arguments_by_position(stranger: Stranger) -> None:
    words = ("--data", "points.Positional", "--experiment", "run", "--trainer.max_epochs", "2")
    done = stranger.runs("fit", "--model", "plain.Trained", *words, "--trainer.overfit_batches", "1")
    assert done.status == 0, done.err
    assert stranger.results("run")["steps"] == 2


def test_no_checkpoint_is_null_as_in_a_printed_config(stranger: Stranger) -> None:
    stranger.writes("c.yaml", "model: plain.Trained\ndata: points.Points\nckpt_path: missing.ckpt\n")
    assert stranger.refused("test", "--config", "c.yaml") == "error: no checkpoint missing.ckpt"
    stranger.succeeds("test", "--config", "c.yaml", "--ckpt_path", "null")


def test_a_config_with_sections_and_without_a_command_is_one_line(stranger: Stranger) -> None:
    stranger.writes("both.yaml", "fit:\n  model: plain.Trained\n")
    line = stranger.refused("--config", "both.yaml")
    assert line == "error: the command is missing: python -m lit_models --config both.yaml fit"


def test_data_of_another_class_do_not_take_the_settings_of_the_checkpoint(stranger: Stranger) -> None:
    stranger.has("hyper.py")
    stranger.succeeds("fit", *TRAINED, "--trainer.max_epochs", "1", "--data.batch_size", "4")
    checkpoint = "runs/run/version_0/checkpoints/last.ckpt"
    stranger.writes("other.yaml", "data: hyper.Sized\n")
    for words in (("--data", "hyper.Sized"), ("--data.class_path", "hyper.Sized"), ("--config", "other.yaml")):
        assert "batches of 8" in stranger.succeeds("test", "--ckpt_path", checkpoint, *words)
    sized = ("--data", "hyper.Sized", "--data.batch_size", "16")
    assert "batches of 16" in stranger.succeeds("test", "--ckpt_path", checkpoint, *sized)
    done = stranger.succeeds(
        "fit", "--resume", "runs/run/version_0", "--trainer.max_epochs", "2", "--data", "points.Points"
    )
    assert stranger.results("run", "results_2.json")["steps"] == 2 * 96 // 4, done
