"""No code in data: canaries in every place of a config and of a checkpoint where a class or a function can stand."""

import contextlib
import os
import re
import shutil
import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
import yaml
from jsonargparse._common import parsing_settings

from datamodules.errors import UserError
from lit_models import LitCLI
from lit_models.cli import state, trust
from lit_models.cli.parser import LitArgumentParser

from .conftest import Run

CANARY = """
from pathlib import Path
Path("touched").write_text("the canary was imported")
import lightning as L
class Model(L.LightningModule): pass
class Data(L.LightningDataModule): pass
class Part(L.Callback): pass
def function(*values): return None
"""
PLACES = (
    *("model", "data", "optimizer", "lr_scheduler", "model.init_args.activation", "data.init_args.dataset"),
    *("trainer.callbacks", "trainer.logger", "trainer.strategy", "trainer.plugins", "trainer.profiler"),
)
OTHER_PLACES = (
    *("model.class_path", "data.class_path", "optimizer.class_path", "lr_scheduler.class_path", "model.init_args.lr"),
    *("trainer.accelerator", "trainer.precision", "trainer.max_time", "trainer.devices", "seed_everything", "monitor"),
    *("data.init_args.num_val", "experiment"),
)
EVERY_PLACE = [*PLACES, *(pytest.param(place, marks=pytest.mark.slow) for place in OTHER_PLACES)]
NAMES = ("CANARY.Model", "os.system")
OTHER_NAMES = ("CANARY.Part", "CANARY.function", "subprocess.Popen", "builtins.exec")


class ParserOfFit(LitCLI):
    """Builds the parsers and reads no words."""

    def parse_arguments(self, parser: Any, args: Any) -> NoReturn:
        raise StopIteration(self._subcommand_parsers)


@pytest.fixture(scope="module")
def parsers() -> dict[str, LitArgumentParser]:
    """The parsers of the commands; it takes seconds to build them."""
    with pytest.raises(StopIteration) as stop:
        ParserOfFit(args=[])
    parsers: dict[str, LitArgumentParser] = stop.value.value
    return parsers


@pytest.fixture(autouse=True)
def canary(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module in the current folder that writes a file when it is imported; its name."""
    name = re.sub(r"\W", "_", f"canary_{empty_folder.parent.name}")
    (empty_folder / f"{name}.py").write_text(CANARY)
    monkeypatch.syspath_prepend(str(empty_folder))
    yield name
    sys.modules.pop(name, None)


@pytest.fixture(autouse=True)
def no_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """os.system and subprocess touch the canary too, where a call slips through."""
    monkeypatch.setattr("os.system", lambda command: Path("touched").write_text(command))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder that is not the current one: of downloads."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


def read(parsers: dict[str, LitArgumentParser], command: str, *words: str) -> Any:
    """Parses the words of a command and builds what they describe but the Trainer, as LitCLI does."""
    with trust.enforced(LitCLI):
        settings = parsers[command].parse_args(list(words))
        for part in ("trainer.callbacks", "trainer.logger", "trainer.plugins", "trainer.strategy"):
            value = settings.get(part)
            if value and not isinstance(value, str | bool):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # jsonargparse deprecates the method that Lightning calls
                    parsers[command].instantiate_classes(settings)
                break
        return settings


def with_value(place: str, value: Any) -> dict[str, Any]:
    """A config of digits and a CNN with one more value."""
    config: dict[str, Any] = {
        "model": {"class_path": "LitCNN", "init_args": {}},
        "data": {"class_path": "MNISTDataModule", "init_args": {"dataset": "digits"}},
    }
    *steps, last = place.split(".")
    section = config
    for step in steps:
        section = section.setdefault(step, {})
    section[last] = value
    return config


def values_of(place: str, canary: str) -> list[Any]:
    """Names, and mappings with them, that a hostile file has in a place; in the slow tests of other places, all."""
    names = [name.replace("CANARY", canary) for name in (*NAMES, *(OTHER_NAMES if place in OTHER_PLACES else ()))]
    if place.endswith("class_path"):
        return list(names)
    mappings = [{"class_path": name, "init_args": {"args": "touch"}} for name in names]
    return [*names, *mappings, [mappings[0]]]


def refusal(parsers: dict[str, LitArgumentParser], command: str, *words: str) -> str | None:
    """The error of a command line, which has one line; None where it is taken."""
    try:
        read(parsers, command, *words)
    except UserError as error:
        return str(error)
    return None


def save(path: Path, config: dict[str, Any]) -> str:
    torch.save({"state_dict": {}, "config": yaml.safe_dump(config)}, path)
    return str(path)


@pytest.mark.parametrize("place", EVERY_PLACE)
def test_a_downloaded_config_imports_no_module_and_calls_no_function(
    parsers: dict[str, LitArgumentParser], elsewhere: Path, canary: str, place: str
) -> None:
    path = elsewhere / "c.yaml"
    for value in values_of(place, canary):
        path.write_text(yaml.safe_dump(with_value(place, value)), encoding="utf-8")
        message = refusal(parsers, "fit", "--config", str(path))
        assert message is None or re.fullmatch(rf"{re.escape(str(path))}:.+", message)
        assert not Path("touched").exists(), value
        assert canary not in sys.modules


@pytest.mark.parametrize("place", EVERY_PLACE)
def test_a_foreign_checkpoint_imports_no_module_and_calls_no_function(
    parsers: dict[str, LitArgumentParser], empty_folder: Path, canary: str, place: str
) -> None:
    """It lies beside the module that it names, in the current folder: an unpacked archive."""
    for value in values_of(place, canary):
        path = save(empty_folder / "x.ckpt", with_value(place, value))
        for command in ("fit", "test") if place in ("model", "data") else ("fit",):
            message = refusal(parsers, command, "--ckpt_path", path)
            assert message is None or re.fullmatch(rf"{re.escape(path)}.+", message)
            assert not Path("touched").exists(), value
            assert canary not in sys.modules


def test_what_a_checkpoint_may_not_set_is_left_out_and_named(
    parsers: dict[str, LitArgumentParser], empty_folder: Path, canary: str
) -> None:
    config = with_value("trainer", {"max_epochs": 7, "gradient_clip_val": 0.5, "default_root_dir": "/elsewhere"})
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "/elsewhere"}}
    stopping = {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "val/loss"}}
    lambdas = {"class_path": "lightning.pytorch.callbacks.LambdaCallback", "init_args": {"on_fit_start": "os.system"}}
    own = {"class_path": f"{canary}.Part"}
    config["trainer"] |= {"logger": logger, "callbacks": [stopping, lambdas, own], "profiler": "pytorch"}
    config |= {"runs_dir": "/elsewhere", "seed_everything": 5}
    settings = read(parsers, "fit", "--ckpt_path", save(empty_folder / "x.ckpt", config))
    assert (settings.trainer.max_epochs, settings.trainer.gradient_clip_val, settings.seed_everything) == (7, 0.5, 5)
    assert [callback.class_path for callback in settings.trainer.callbacks] == [stopping["class_path"]]
    assert settings.trainer.callbacks[0].init_args.monitor == "val/loss"
    for place in ("runs_dir", "trainer.default_root_dir", "trainer.profiler", "trainer.logger"):
        assert settings.get(place) is None
    flags = ["--runs_dir", "--trainer.default_root_dir", "--trainer.logger"]
    flags += [f"--trainer.callbacks+={callback['class_path']}" for callback in (lambdas, own)] + ["--trainer.profiler"]
    note = parsers["fit"].stored.note()
    assert note is not None
    assert note.startswith("note: settings of the checkpoint's run that are not taken over: --")
    named, _, advice = note.rpartition(": ")[2].partition("; ")
    assert (sorted(named.split(", ")), advice) == (sorted(flags), "type them again to keep them")
    assert "\n" not in note


def test_a_checkpoint_of_ones_own_class_needs_its_name_once(
    parsers: dict[str, LitArgumentParser], empty_folder: Path, canary: str
) -> None:
    path = save(empty_folder / "x.ckpt", with_value("model", {"class_path": f"{canary}.Model"}))
    expected = f"{path} names {canary}.Model, which you have not run here before, and is not imported: "
    with pytest.raises(UserError) as caught:
        read(parsers, "test", "--ckpt_path", path)
    assert str(caught.value) == f"{expected}if its code is yours, add --model {canary}.Model"
    assert not Path("touched").exists()
    read(parsers, "test", "--ckpt_path", path, "--model", f"{canary}.Model")
    assert Path("touched").exists()
    assert state.modules() == {str((empty_folder / f"{canary}.py").resolve())}
    assert read(parsers, "test", "--ckpt_path", path).model.class_path == f"{canary}.Model"


def test_the_memory_is_of_files_and_not_of_names(
    parsers: dict[str, LitArgumentParser], empty_folder: Path, canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a module of the same name in it, that was unpacked from an archive, is a stranger's."""
    read(parsers, "fit", "--model", f"{canary}.Model", "--data", "XORDataModule")
    folder = empty_folder / "unpacked"
    folder.mkdir()
    shutil.move(f"{canary}.py", folder)
    sys.modules.pop(canary)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", ["", *(p for p in sys.path if p != str(empty_folder))])
    path = save(folder / "x.ckpt", with_value("model", {"class_path": f"{canary}.Model"}))
    with pytest.raises(UserError, match="which you have not run here before"):
        read(parsers, "test", "--ckpt_path", path)
    assert not Path("touched").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="modes are of POSIX")
def test_a_memory_that_others_can_write_to_is_not_believed() -> None:
    state.add_modules(["/a/b.py", "/two\nlines.py"])
    state.add_modules(["/a/b.py", "/c.py"])
    assert state.modules() == {"/a/b.py", "/c.py"}
    path = state.state_dir() / "modules.txt"
    assert path.read_text() == "/a/b.py\n/c.py\n"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o622)
    assert state.modules() == set()


def test_a_state_folder_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("taken").touch()
    monkeypatch.setenv("LIT_MODELS_STATE", str(Path("taken") / "state"))
    state.add_modules(["/a/b.py"])
    assert state.modules() == set()


def test_a_config_beside_a_module_may_name_it_and_one_from_elsewhere_needs_trust(
    parsers: dict[str, LitArgumentParser], empty_folder: Path, elsewhere: Path, canary: str
) -> None:
    text = yaml.safe_dump(with_value("trainer.callbacks", [{"class_path": f"{canary}.Part"}]))
    (elsewhere / "c.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        read(parsers, "fit", "--config", str(elsewhere / "c.yaml"))
    advice = f"is not imported, as you have not named it: if you trust its code, add --trust {canary}"
    assert str(caught.value) == f"{elsewhere / 'c.yaml'}:9: trainer.callbacks: {canary}.Part {advice}"
    for words in (["--config", str(elsewhere / "c.yaml"), "--trust", canary], ["--config", "mine/c.yaml"]):
        Path("mine").mkdir(exist_ok=True)
        shutil.copy(elsewhere / "c.yaml", "mine")
        settings = read(parsers, "fit", *words)
        assert [callback.class_path for callback in settings.trainer.callbacks] == [f"{canary}.Part"]
        sys.modules.pop(canary)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("os.system", "trainer.callbacks: os.system is a part of Python that no setting may name"),
        ("lit_models.cli.app.main", "is not one of the classes that a setting may name (see `list`)"),
        ("torch.hub.load", "if you trust its code, add --trust torch.hub.load"),
        ("lightning.pytorch.callbacks.LambdaCallback", "add --trust lightning.pytorch.callbacks.LambdaCallback"),
        ("torch.nn.functional.importlib.import_module", "importlib.import_module is a part of Python that no setting"),
        ("torchvision.datasets.utils.download_url", "add --trust torchvision.datasets.utils.download_url"),
    ],
)
def test_names_inside_libraries_that_run_code_are_refused(
    parsers: dict[str, LitArgumentParser], elsewhere: Path, name: str, message: str
) -> None:
    (elsewhere / "c.yaml").write_text(yaml.safe_dump(with_value("trainer.callbacks", [{"class_path": name}])))
    with pytest.raises(UserError) as caught:
        read(parsers, "fit", "--config", str(elsewhere / "c.yaml"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *("torch.relu", "torch.float32", "torch.nn.functional.gelu", "torch.nn.Linear", "torch.nn.init.zeros_"),
        *("torch.optim.AdamW", "torch.optim.lr_scheduler.StepLR", "lightning.pytorch.callbacks.EarlyStopping"),
        *("lightning.pytorch.loggers.TensorBoardLogger", "lightning.pytorch.strategies.DDPStrategy"),
        *("lightning.pytorch.profilers.SimpleProfiler", "lightning.pytorch.plugins.MixedPrecision"),
        *("torchmetrics.classification.MulticlassF1Score", "torchvision.transforms.v2.RandomCrop"),
        *("lit_models.LitCNN", "lit_models.cnn.LitCNN", "datamodules.MNISTDataModule", "EarlyStopping"),
    ],
)
def test_everyday_parts_may_be_named_by_anybody(name: str) -> None:
    from jsonargparse._util import import_object

    with trust.enforced(LitCLI):
        assert trust.allows(name)
        if "." in name:
            import_object(name)


def test_the_rules_end_with_the_command_line() -> None:
    before = dict(parsing_settings)
    with trust.enforced(LitCLI):
        assert not trust.allows("somewhere.Class")
    assert parsing_settings == before


def test_typed_names_are_those_of_classes_and_not_of_texts() -> None:
    words = ["--model", "a.A", "--data=b.B", "--trainer.callbacks+=c.C", "--optimizer.class_path", "d.D"]
    words += ["--trainer.callbacks", "[{class_path: e.E}, f.F]", "--inputs", "os.system", "--data.file", "g.csv"]
    words += ["--experiment=h.h", "--model.lr", "0.1", "--trainer.logger"]
    assert trust.typed_names(words) == ["a.A", "b.B", "c.C", "d.D", "e.E", "f.F"]


OWN = """
from collections.abc import Callable
from typing import Any, Optional, Union
import lightning as L
from torch import nn
class Model(L.LightningModule):
    def __init__(
        self,
        call: Callable = len,
        maybe: Optional[Callable[[int], int]] = None,
        either: Union[Callable, str] = "x",
        kind: type[nn.Module] = nn.ReLU,
        any_kind: type = str,
        kinds: list[Union[type, Callable]] = [],
        part: nn.Module | None = None,
        loose: Any = None,
        keyed: dict[str, Any] | None = None,
    ):
        super().__init__()
        for value in (call, maybe, kind, any_kind, *kinds):
            if callable(value) and value is not len:
                value("touch")
"""
"""A class of the user's with settings of every type that an import path fits, which calls what it is given."""


@pytest.fixture
def own(empty_folder: Path, canary: str) -> Iterator[str]:
    """The module of a class of the user's."""
    name = f"own_{canary}"
    (empty_folder / f"{name}.py").write_text(OWN)
    yield name
    sys.modules.pop(name, None)


CALLED = ("call", "kind", "loose")
OTHER_CALLED = ("maybe", "either", "any_kind", "kinds", "part", "keyed")


@pytest.mark.parametrize("source", ["config", "checkpoint"])
@pytest.mark.parametrize("setting", [*CALLED, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHER_CALLED)])
def test_a_setting_that_is_a_function_or_a_class_imports_nothing_foreign(
    parsers: dict[str, LitArgumentParser], elsewhere: Path, canary: str, own: str, setting: str, source: str
) -> None:
    names = ("os.system", f"{canary}.function", f"{canary}.Model", "torch.hub.load")
    mappings = [{"class_path": name, "init_args": {"command": "touch"}} for name in names[:3]]
    for value in (*names, *mappings):
        given = {"kinds": [value], "keyed": {"a": value}}.get(setting, value)
        config = {"model": {"class_path": f"{own}.Model", "init_args": {setting: given}}}
        if source == "checkpoint":
            words = ["test", "--ckpt_path", save(elsewhere / "x.ckpt", config)]
        else:
            (elsewhere / "c.yaml").write_text(yaml.safe_dump(config))
            words = ["fit", "--config", str(elsewhere / "c.yaml")]
        with contextlib.suppress(UserError), trust.enforced(LitCLI), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jsonargparse deprecates the method that Lightning calls
            settings = parsers[words[0]].parse_args([*words[1:], "--model", f"{own}.Model"])
            parsers[words[0]].instantiate_classes(settings)
        assert not Path("touched").exists(), value
        assert canary not in sys.modules, value


def test_a_setting_that_is_a_function_or_a_class_takes_an_everyday_part(
    parsers: dict[str, LitArgumentParser], elsewhere: Path, own: str
) -> None:
    settings = {"call": "torch.relu", "kind": "torch.nn.Tanh", "part": {"class_path": "torch.nn.ReLU"}}
    config = {"model": {"class_path": f"{own}.Model", "init_args": settings}}
    (elsewhere / "c.yaml").write_text(yaml.safe_dump(config))
    for words in (["--ckpt_path", save(elsewhere / "x.ckpt", config)], ["--config", str(elsewhere / "c.yaml")]):
        parsed = read(parsers, "fit", *words, "--model", f"{own}.Model").model.init_args
        assert (parsed.call, parsed.kind) == (torch.relu, torch.nn.Tanh)
        assert parsed.part.class_path == "torch.nn.ReLU"


def test_a_config_puts_no_folder_on_the_path_but_of_modules_that_were_run(
    parsers: dict[str, LitArgumentParser], elsewhere: Path, canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries look on the path for packages that they can do without, and so would import what lies there."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (elsewhere / f"{canary}_beside.py").write_text(CANARY)
    config = elsewhere / "config.yaml"
    text = yaml.safe_dump(with_value("experiment", "x"))
    config.write_text(f"# Started in {elsewhere}\n{text}")
    read(parsers, "fit", "--config", str(config))
    assert str(elsewhere) not in sys.path
    state.add_modules([str(elsewhere.resolve() / "mine.py")])
    read(parsers, "fit", "--config", str(config))
    assert sys.path[-1] == str(elsewhere)
    package = elsewhere / "package"
    package.mkdir()
    state.add_modules([str(package.resolve() / "part" / "__init__.py")])
    config.write_text(f"# Started in {package}\n{text}")
    read(parsers, "fit", "--config", str(config))
    assert sys.path[-1] == str(package)
    assert not Path("touched").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
@pytest.mark.parametrize("place", ["trainer.callbacks", "optimizer", "model.init_args.lr", "data.init_args.data_dir"])
def test_a_config_or_checkpoint_that_names_a_pipe_or_another_machine_is_refused(
    parsers: dict[str, LitArgumentParser], elsewhere: Path, place: str
) -> None:
    pipe = str(elsewhere / "pipe")
    os.mkfifo(pipe)
    cases = [(pipe, f"{pipe} is a pipe or a device"), ("/dev/zero", "/dev/zero is a pipe or a device")]
    cases += [(name, f"{name} names a place on another machine") for name in ("\\\\host\\x.csv", "//host/x.csv")]
    for value, problem in cases:
        config = with_value(place, value)
        (elsewhere / "c.yaml").write_text(yaml.safe_dump(config))
        message = refusal(parsers, "fit", "--config", str(elsewhere / "c.yaml"))
        assert message == f"{elsewhere / 'c.yaml'}: {problem}, which a config may not name"
        path = save(elsewhere / "x.ckpt", config)
        message = refusal(parsers, "fit", "--ckpt_path", path)
        assert message == f"{path}: in its config, {problem}, which a checkpoint may not name"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
def test_a_config_that_is_a_pipe_is_refused(parsers: dict[str, LitArgumentParser], elsewhere: Path) -> None:
    os.mkfifo(elsewhere / "c.yaml")
    message = refusal(parsers, "fit", "--config", str(elsewhere / "c.yaml"))
    assert message == f"{elsewhere / 'c.yaml'} is a pipe or a device, expected a file"


@pytest.mark.parametrize("place", ["", "model.", "data.init_args."])
@pytest.mark.parametrize("key", [None, 1, 1.5, True])
def test_a_key_that_is_no_text_is_refused(
    parsers: dict[str, LitArgumentParser], elsewhere: Path, place: str, key: object
) -> None:
    config = with_value("model.init_args.lr", 0.1)
    section: dict[Any, Any] = config
    for step in place.split(".")[:-1]:
        section = section[step]
    section[key] = 1
    (elsewhere / "c.yaml").write_text(yaml.safe_dump(config))
    problem = f"{key!r} is not the name of a setting"
    assert refusal(parsers, "fit", "--config", str(elsewhere / "c.yaml")) == f"{elsewhere / 'c.yaml'}: {problem}"
    path = save(elsewhere / "x.ckpt", config)
    assert refusal(parsers, "test", "--ckpt_path", path) == f"{path}: in its config, {problem}"


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("LitMLP", {"hidden_sizes": [60_000, 20_000]}),  # 4.8 GB
        ("LitMLP", {"hidden_sizes": [10**12, 10**12]}),
        ("LitRNN", {"num_layers": 10**7, "hidden_size": 1}),
    ],
)
def test_a_small_checkpoint_cannot_ask_for_a_huge_model(
    run: Run, colours: Path, model: str, sizes: dict[str, Any]
) -> None:
    config = with_value("model", {"class_path": model, "init_args": sizes})
    if model == "LitRNN":
        config["data"] = {"class_path": "TextDataModule", "init_args": {"train_file": str(colours)}}
    save(Path("x.ckpt"), config)
    status, _, err = run("test", "--ckpt_path", "x.ckpt")
    assert status == 2
    of_another = "is a checkpoint of another model: this one is much larger than its weights"
    assert err in (f"error: x.ckpt {of_another}\n", "error: x.ckpt: its model does not fit into the memory\n")


@pytest.mark.parametrize(
    "part",
    [
        {"loops": {"fit_loop": 1}},
        {"loops": {}, "optimizer_states": [1]},
        {"pytorch-lightning_version": "x"},
        {"resume": {"environment": 1}},
    ],
)
def test_a_state_that_cannot_be_restored_is_one_line(run: Run, part: dict[str, Any]) -> None:
    words = ("--data", "XORDataModule", "--data.passes", "1", "--trainer.max_epochs")
    assert run("fit", "--model", "LitMLP", *words, "1")[0] == 0
    path = Path("runs/LitMLP-XOR/version_0/checkpoints/last.ckpt")
    torch.save(torch.load(path, weights_only=True) | part, "x.ckpt")
    status, _, err = run("fit", "--ckpt_path", "x.ckpt", "--trainer.max_epochs", "2")
    assert status == 2
    assert re.fullmatch(r"error: x\.ckpt: the state in it cannot be restored: \w+: .+ \(--debug shows where\)\n", err)


def test_pickles_in_a_vocabulary_and_in_an_npz_file_run_nothing(run: Run, colours: Path) -> None:
    touch = b"cos\nsystem\n(Vtouch\ntR."
    Path("v.pkl").write_bytes(touch)
    words = ("--data.train_file", str(colours), "--data.vocab_file", "v.pkl")
    status, _, err = run("fit", "--config", "text_rnn", *words)
    assert status == 2
    assert err.startswith("error: v.pkl contains os.system, which does not belong in a vocabulary; it was not run: ")
    with zipfile.ZipFile("imdb.npz", "w") as archive, archive.open("x_train.npy", "w") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": (1,)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(touch)
    status, _, err = run("fit", "--model", "LitRNN", "--data", "IMDBDataModule", "--data.data_dir", ".")
    assert status == 2
    assert err.endswith("contains os.system, which does not belong in a file of arrays; it was not run\n")
    assert not Path("touched").exists()


def test_hyper_parameters_of_a_checkpoint_import_nothing(run: Run, canary: str) -> None:
    nested = {"class_path": f"{canary}.Model", "_class_path": f"{canary}.Model", "_instantiator": f"{canary}.function"}
    content = {"state_dict": {}, "config": yaml.safe_dump({"model": {"class_path": "LitCNN"}})}
    for parameters in (nested, {"lr": nested}, {"num_classes": [nested]}):
        torch.save({**content, "hyper_parameters": parameters}, "x.ckpt")
        status, _, err = run("export", "--format", "keras", "--ckpt_path", "x.ckpt")
        assert (status, len(err.splitlines())) == (2, 1)
        assert not Path("touched").exists()


def test_aliases_in_a_stored_config_and_in_texts_of_values_do_not_expand(
    parsers: dict[str, LitArgumentParser], empty_folder: Path
) -> None:
    bomb = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{key}: &{key} [{','.join([f'*{before}'] * 9)}]\n"
        for before, key in zip("abcdefghij", "bcdefghijk", strict=True)
    )
    torch.save({"state_dict": {}, "config": bomb}, "x.ckpt")
    with pytest.raises(UserError, match=r"x\.ckpt: its config cannot be read: more than 2,000 keys"):
        read(parsers, "fit", "--ckpt_path", "x.ckpt")
    path = save(empty_folder / "y.ckpt", with_value("trainer.callbacks", bomb))
    assert read(parsers, "fit", "--ckpt_path", path).trainer.callbacks is None
    Path("c.yaml").write_text(yaml.safe_dump(with_value("model.init_args.fully_connected", bomb)))
    with pytest.raises(UserError):
        read(parsers, "fit", "--config", "c.yaml")
