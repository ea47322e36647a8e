"""Bad input: one clear line, exit status 2, no traceback, and nothing left behind."""

from pathlib import Path

import pytest
import torch

from datamodules import UserError
from lit_models.cli.diagnosis import keyword_problem

from .conftest import Run

XOR = ("fit", "--config", "xor_mlp", "--trainer.max_epochs", "1", "--data.passes", "1")


def refused(run: Run, *arguments: str) -> str:
    """The one line of standard error."""
    status, _, err = run(*arguments)
    assert status == 2, err
    assert "Traceback" not in err
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1, err
    runs = Path("runs")
    assert not runs.exists() or all(any(folder.iterdir()) for folder in runs.iterdir())
    return err.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model.lr", "-1"), "lr must be a positive number, got -1.0"),
        (("--model.lr", "nan"), "model.lr: nan is not valid, expected a finite number"),
        (("--model.lr", ".nan"), "lr must be a positive number, got nan"),
        (("--model.lr", "fast"), "model.lr: fast is not valid, expected float"),
        (("--model.lr=-inf",), "model.lr: -inf is not valid, expected a finite number"),
        (("--runs_dir", ""), "runs_dir is empty, expected a folder such as runs"),
        (("--experiment", ""), "experiment is the name of one folder and not a path, got ''"),
        (("--model", "lit_models.cnn.CNN"), "model: lit_models.cnn.CNN is not a LightningModule, did you mean LitCNN?"),
        (("--data.batch_size", "-1"), "batch_size must be 0 (every row) or more, got -1"),
        (("--model.num_features", "3"), "model.num_features is 3, but the data say 2: leave it out"),
        (("--model", "LitCN"), "model: no class 'LitCN', did you mean LitCNN?"),
        (("--data", "MNIST"), "data: no class 'MNIST', did you mean MNISTDataModule?"),
        (("--model", "nowhere.LitMine"), "model: no module 'nowhere' for nowhere.LitMine"),
        (("--model", "lit_models.cnn.LitCNM"), "lit_models.cnn has no class 'LitCNM', did you mean LitCNN?"),
        (("--model.hiden_sizes", "[3]"), "LitMLP has no setting 'hiden_sizes', did you mean hidden_sizes?"),
        (("--trainer.max_epoch", "3"), "unknown flag --trainer.max_epoch, did you mean --trainer.max_epochs?"),
        (("--modle", "LitMLP"), "unknown flag --modle, did you mean --model?"),
        (("--trainer.max_epochs", "many"), "trainer.max_epochs: many is not valid, expected int"),
        (("--test_weights", "best"), "test_weights best needs a validation part"),
        (("--output", "a.csv"), "--output belongs to predict, and fit does not use it: leave it out"),
        (("--output=a.csv",), "--output belongs to predict, and fit does not use it: leave it out"),
        (("--data.inputs", "1,0"), "--data.inputs belongs to predict, and fit does not use it: leave it out"),
        (("--runs_dir", "taken"), "cannot write to taken/xor_mlp: Not a directory; set --runs_dir"),
        (("--seed_everything", "-1"), "seed_everything must be 0 to 4,294,967,295, got -1"),
        (("--model.activation", "foo"), "model.activation: foo is not valid, expected sigmoid, tanh, relu"),
        (("--trainer.strategy", "foo"), "trainer: You selected an invalid strategy name: `strategy='foo'`."),
        (("--experiment", "../out"), "experiment is the name of one folder and not a path, got '../out'"),
        (("--experiment", "a\nb"), "experiment is the name of one folder and not a path, got 'a\\nb'"),
        (("--ckpt_path", "none.ckpt"), "no checkpoint none.ckpt"),
        (("stray",), "'stray' belongs to no flag"),
    ],
)
def test_a_wrong_flag_is_one_line(run: Run, empty_folder: Path, arguments: tuple[str, ...], message: str) -> None:
    (empty_folder / "taken").touch()
    assert message in refused(run, *XOR, *arguments)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--lr", "--model.lr"),
        ("--lrr", "--model.lr"),
        ("--learning_rate", "--model.lr"),
        ("--trainer.lr", "--model.lr"),
        ("--hidden_size", "--model.hidden_sizes"),
        ("--max_epochs", "--trainer.max_epochs"),
        ("--epochs", "--trainer.max_epochs"),
        ("--gpus", "--trainer.devices"),
        ("--batch_size", "--data.batch_size"),
        ("--input", "--data.inputs"),
        ("--seed", "--seed_everything"),
        ("--ckpt", "--ckpt_path"),
        ("--qqqq", ""),
    ],
)
def test_an_unknown_flag_names_the_setting_of_any_section(run: Run, word: str, meant: str) -> None:
    assert refused(run, *XOR, word, "3") == f"unknown flag {word}" + (f", did you mean {meant}?" if meant else "")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--model.max_epochs", "LitMLP has no setting 'max_epochs', did you mean --trainer.max_epochs?"),
        ("--model.batch_size", "LitMLP has no setting 'batch_size', did you mean --data.batch_size?"),
        ("--data.lr", "XORDataModule has no setting 'lr', did you mean --model.lr?"),
        ("--model.experiment", "LitMLP has no setting 'experiment', did you mean --experiment?"),
        (
            "--data.train_dir",
            "XORDataModule has no setting 'train_dir'; "
            "it has batch_size, inputs, noise, num_bits, num_workers, passes, seed",
        ),
        ("--data.input", "XORDataModule has no setting 'input', did you mean inputs?"),
        ("--model.init_arg.lr", "LitMLP has no setting 'init_arg', did you mean init_args?"),
    ],
)
def test_a_flag_of_the_wrong_section_names_the_right_one(run: Run, word: str, message: str) -> None:
    assert refused(run, *XOR, word, "3") == message


@pytest.mark.parametrize(
    ("key", "name"),
    [
        *(("--model", name) for name in ("LitClassifier", "LitTask", "lit_models.LitClassifier")),
        *(("--model", name) for name in ("LightningModule", "lightning.LightningModule")),
        ("--data", "DataModule"),
        ("--data", "datamodules.base.DataModule"),
    ],
)
def test_a_base_class_is_refused_with_the_classes_that_can_be_used(run: Run, key: str, name: str) -> None:
    what, first = ("models", "LitBERT, LitCNN") if key == "--model" else ("data", "IMDBDataModule, ")
    line = refused(run, *XOR, key, name)
    assert line.startswith(f"{key[2:]}: {name} is only a base of {what}: use {first}")
    assert line.endswith(", or a class of your own: file.Class")


@pytest.mark.parametrize("flag", ["--optimizer", "--lr_scheduler"])
def test_a_name_of_the_models_own_optimizer_is_explained(run: Run, flag: str) -> None:
    own, value = ("optimizer", "sgd") if flag == "--optimizer" else ("schedule", "cosine")
    expected = f"{flag[2:]}: no class {value!r}, did you mean model.{own}? (--model.{own} {value})"
    more = ("--optimizer", "Adam") if flag == "--lr_scheduler" else ()
    assert refused(run, *XOR, *more, flag, value) == expected


def test_many_more_processes_than_cores_are_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    line = refused(run, *XOR, "--trainer.accelerator", "cpu", "--trainer.devices", "99")
    rule = "use at most 8 (four per core, and eight on any machine)"
    assert line == f"trainer.devices is 99, and this machine has 2 CPU cores: {rule}"


@pytest.mark.parametrize("name", ["max_epochs", "max_steps"])
def test_a_fit_that_trains_nothing_is_noted(run: Run, name: str) -> None:
    status, out, err = run(*XOR, f"--trainer.{name}", "0")
    assert (status, err) == (0, "")
    assert out.startswith(f"note: trainer.{name} is 0, so nothing is trained\n")


def test_a_missing_checkpoint_names_those_that_are_there(run: Run) -> None:
    place = Path("runs/x/version_0/checkpoints")
    place.mkdir(parents=True)
    (place / "last.ckpt").touch()
    for word, message in (
        (place / "best.ckpt", f"no checkpoint {place}/best.ckpt; its folder has last.ckpt"),
        (place.parent / "best.ckpt", f"no checkpoint {place.parent}/best.ckpt; {place} has last.ckpt"),
        (place.parent, f"{place.parent} is a folder; {place} has last.ckpt"),
        (Path("runs"), "runs is a folder, expected a checkpoint"),
        (Path("none.ckpt"), "no checkpoint none.ckpt"),
    ):
        assert refused(run, "test", "--ckpt_path", str(word)) == message


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("gradient_clip_val", "-1", "0 or more, got -1"),
        ("gradient_clip_val", ".nan", "0 or more, got nan"),
        ("accumulate_grad_batches", "0", "above 0, got 0"),
        ("check_val_every_n_epoch", "0", "above 0, got 0"),
        ("val_check_interval", "0", "above 0, got 0"),
        ("val_check_interval", "0.0", "above 0, got 0"),
        ("num_nodes", "0", "above 0, got 0"),
        ("limit_train_batches", "-1", "0 or more, got -1"),
        ("log_every_n_steps", "-1", "0 or more, got -1"),
        ("min_epochs", "-3", "0 or more, got -3"),
        ("min_steps", "-3", "0 or more, got -3"),
        ("num_sanity_val_steps", "-2", "0 or more, or -1 (no limit), got -2"),
        ("max_epochs", "-5", "0 or more, or -1 (no limit), got -5"),
        ("max_steps", "-7", "0 or more, or -1 (no limit), got -7"),
    ],
)
def test_a_trainers_number_out_of_its_range_is_one_line(run: Run, name: str, value: str, expected: str) -> None:
    assert refused(run, *XOR, f"--trainer.{name}", value) == f"trainer.{name} must be {expected}"
    assert not Path("runs").exists()


def test_a_trainers_number_at_the_edge_of_its_range_is_taken(run: Run) -> None:
    edges = {"gradient_clip_val": 0, "accumulate_grad_batches": 1, "min_epochs": 0, "num_sanity_val_steps": -1}
    edges |= {"max_steps": -1, "log_every_n_steps": 0, "limit_val_batches": 0}
    status, _, err = run(*XOR, *(f"--trainer.{name}={value}" for name, value in edges.items()))
    assert (status, err) == (0, "")


def test_validating_less_often_than_an_epoch_has_batches_is_one_line(run: Run) -> None:
    line = refused(run, *XOR, "--trainer.val_check_interval", "1000")  # XOR's four rows are one batch
    wanted = "trainer.val_check_interval is 1000 batches, and an epoch has 1"
    assert line == f"{wanted}: set a smaller number, or a fraction of an epoch such as 1.0"


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_a_flag_that_only_fit_uses_is_refused_elsewhere_and_fine_in_a_config(
    run: Run, empty_folder: Path, command: str
) -> None:
    (empty_folder / "both.yaml").write_text("test_weights: last\noutput: out.jsonl\n")
    assert run(*XOR, "--config", "both.yaml", "--test_weights", "last")[0] == 0
    common = (command, "--ckpt_path", "runs/xor_mlp/version_0/checkpoints/last.ckpt", "--config", "both.yaml")
    wanted = f"--test_weights belongs to fit, and {command} does not use it: leave it out"
    assert refused(run, *common, "--test_weights", "last") == wanted
    if command != "validate":  # XOR has no validation part
        status, _, err = run(*common)
        assert (status, err) == (0, "")


def test_inputs_may_mean_something_else_to_a_users_own_data(
    run: Run, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import datamodules\n\n\nclass Mine(datamodules.XORDataModule):\n    pass\n"
    (empty_folder / "data_with_inputs.py").write_text(code)
    monkeypatch.syspath_prepend(str(empty_folder))
    status, _, err = run(*XOR, "--data", "data_with_inputs.Mine", "--data.inputs", "1,0")
    assert (status, err) == (0, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer:\n  max_epoch: 3\n", "mine.yaml:2: trainer has no setting 'max_epoch', did you mean max_epochs?"),
        ("trainr:\n  max_epochs: 3\n", "mine.yaml:1: a config has no setting 'trainr', did you mean trainer?"),
        (
            "model:\n  class_path: LitMLP\n  init_args:\n    hiden_sizes: [3]\n",
            "mine.yaml:4: LitMLP has no setting 'hiden_sizes'",
        ),
        ("lr: 0.1\n", "mine.yaml:1: a config has no setting 'lr', did you mean model.lr?"),
        ("batch_size: 3\n", "mine.yaml:1: a config has no setting 'batch_size', did you mean data.batch_size?"),
        ("optimizer: {lr: 3}\n", "mine.yaml: optimizer names no class: add --optimizer CLASS, or use model.optimizer"),
        ("optimizer: sgd\n", "mine.yaml:1: optimizer: no class 'sgd', did you mean model.optimizer?"),
        ("trainer:\n  lr: 3\n", "mine.yaml:2: trainer has no setting 'lr', did you mean model.lr?"),
        (
            "model:\n  init_args:\n    max_epochs: 1\n",
            "mine.yaml:3: LitMLP has no setting 'max_epochs', did you mean trainer.max_epochs?",
        ),
        (
            "model:\n  init_args:\n    init_args:\n      lr: 1\n",
            "mine.yaml:3: LitMLP: init_args is there twice: write the settings under the first one",
        ),
        ("model: lit_models.LitClassifier\n", "mine.yaml:1: model: lit_models.LitClassifier is only a base of models"),
        (
            "trainer: {callbacks: [{class_path: EarlyStopping, init_arg: {monitor: a}}]}\n",
            "mine.yaml:1: trainer.callbacks: no key 'init_arg', did you mean init_args?",
        ),
        ("model:\n  class_path: LitMPL\n", "mine.yaml:2: model: no class 'LitMPL', did you mean LitMLP?"),
        ("trainer:\n  max_epochs: 3\n  max_epochs: 4\n", "mine.yaml:3: the key 'max_epochs' is there twice"),
        ("trainer: [\n", "mine.yaml:2: "),
        ("- a\n- b\n", "mine.yaml: a config is a mapping (key: value), this is list"),
        ("a: \x00\n", "mine.yaml: not a YAML text"),
        ("? [a, b]\n: 1\n", "mine.yaml:1: a key must be a plain word"),
    ],
)
def test_a_wrong_config_is_one_line_with_its_place(run: Run, empty_folder: Path, text: str, message: str) -> None:
    (empty_folder / "mine.yaml").write_text(text)
    assert message in refused(run, "fit", "--config", "xor_mlp", "--config", "mine.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model: {class_path: LitMLP, dict_kwargs: {lrr: 3}}\n",
            "model: LitMLP has no setting 'lrr', did you mean lr?",
        ),
        ("data: {class_path: XORDataModule, dict_kwargs: {x: 3}}\n", "data: XORDataModule has no setting 'x'"),
        (
            "trainer: {callbacks: [{class_path: EarlyStopping, init_args: {monitor: a}, dict_kwargs: {mod: min}}]}\n",
            "callbacks: EarlyStopping has no setting 'mod', did you mean mode?",
        ),
    ],
)
def test_a_keyword_that_a_class_does_not_take_is_one_line(
    run: Run, empty_folder: Path, text: str, message: str
) -> None:
    (empty_folder / "mine.yaml").write_text(text, encoding="utf-8")
    assert refused(run, *XOR, "--config", "mine.yaml") == message


def test_a_keyword_of_an_optimizer_that_lightning_drops_is_refused() -> None:
    adam = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.1}, "dict_kwargs": {"eps": 0.1}}
    message = "optimizer: eps is under dict_kwargs, where it has no effect: write it under init_args"
    assert keyword_problem({"optimizer": adam}) == message
    assert keyword_problem({"optimizer": adam | {"dict_kwargs": {}}}) is None


def test_a_config_that_is_not_there_names_the_nearest(run: Run) -> None:
    assert "no config file 'mnist_cn'" in (line := refused(run, "fit", "--config", "mnist_cn"))
    assert "did you mean mnist_cnn?" in line


def test_fit_alone_says_what_it_needs(run: Run) -> None:
    assert "fit needs a config" in refused(run, "fit")
    assert "data is not set: use --config" in refused(run, "fit", "--model", "LitMLP")
    assert "model is not set: use --config" in refused(run, "fit", "--data", "XORDataModule")


def test_a_checkpoint_of_another_model_is_refused(run: Run, tmp_path: Path) -> None:
    run(*XOR)
    path = "runs/xor_mlp/version_0/checkpoints/last.ckpt"
    assert "is a checkpoint of lit_models.LitMLP, not of lit_models.LitCNN" in refused(
        run, "test", "--ckpt_path", path, "--config", "digits_cnn"
    )
    assert (
        "is a checkpoint of another LitMLP: 'network.hidden.0.weight' is (4, 2) in the file, (5, 2) in the model"
        in refused(run, "test", "--ckpt_path", path, "--model.hidden_sizes", "[5]")
    )
    whole = Path(path).read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    assert "cut.ckpt is damaged, or not a checkpoint" in refused(run, "test", "--ckpt_path", str(tmp_path / "cut.ckpt"))
    (tmp_path / "table.ckpt").write_text("text,label\na,b\n")
    assert "table.ckpt is damaged, or not a checkpoint" in refused(
        run, "test", "--ckpt_path", str(tmp_path / "table.ckpt")
    )
    torch.save({"weights": 1}, tmp_path / "other.ckpt")
    assert "holds no state_dict" in refused(run, "test", "--ckpt_path", str(tmp_path / "other.ckpt"))


def test_sizes_of_a_fresh_model_beside_a_pretrained_one_are_refused(
    run: Run, bert_checkpoint: Path, colours: Path
) -> None:
    line = refused(
        run,
        *("fit", "--model", "LitBERT", "--model.checkpoint", str(bert_checkpoint), "--model.hidden_size", "64"),
        *("--data", "TextDataModule", "--data.train_file", str(colours)),
    )
    assert line == f"leave out hidden_size: sizes are for a small model, and '{bert_checkpoint}' has its own"


def test_a_changed_setting_of_a_checkpoint_is_reported(run: Run) -> None:
    run(*XOR)
    path = "runs/xor_mlp/version_0/checkpoints/last.ckpt"
    status, out, _ = run("test", "--ckpt_path", path, "--model.lr", "0.5")
    assert status == 0
    assert "note: model.lr is 0.5, and was 0.1 when the checkpoint was made" in out


def test_missing_and_damaged_image_files_are_one_line(
    run: Run, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mnist = ("fit", "--config", "mnist_cnn", "--data.data_dir", "data")
    monkeypatch.setenv("LIT_MODELS_OFFLINE", "1")
    line = refused(run, *mnist)
    assert "MNIST is missing: data/MNIST/raw/train-images-idx3-ubyte.gz is missing, and LIT_MODELS_OFFLINE" in line
    assert "put train-images-idx3-ubyte" in line
    assert "into data/MNIST/raw" in line
    raw = empty_folder / "data/MNIST/raw"
    raw.mkdir(parents=True)
    for name in (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ):
        (raw / name).write_bytes(b"\0" * 100)
    assert "train-images-idx3-ubyte is damaged: 100 bytes, expected 47,040,016" in refused(run, *mnist)


def test_a_fault_of_the_program_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, stage: str) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("datamodules.xor.XORDataModule.setup", broken)
    with pytest.raises(RuntimeError, match="a fault"):
        run(*XOR)


def test_debug_shows_the_traceback_of_a_users_mistake(run: Run) -> None:
    with pytest.raises(UserError, match="lr must be"):
        run(*XOR, "--model.lr", "-1", "--debug")
