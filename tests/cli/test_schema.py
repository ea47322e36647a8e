"""The schema of the configs accepts what the program accepts, and refuses what is misspelt."""

import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from lit_models.cli import registry
from lit_models.cli.schema import KNOWN, TITLE, config_schema

from .conftest import Run

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "configs" / "schema.json"
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
LIBRARIES = ("jsonargparse", "lightning", "torch")
"""Packages whose settings are in the schema."""
OWN = ("model", "data", "LightningModule", "LightningDataModule")


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def problems(validator: Draft202012Validator, content: Any) -> list[str]:
    """What the schema says, with all parts of its unions."""
    pending, texts = list(validator.iter_errors(content)), []
    while pending:
        error = pending.pop()
        texts.append(error.message)
        pending += error.context or []
    return texts


def test_the_schema_in_the_repository_is_that_of_the_command() -> None:
    """The settings of libraries are compared where the installed ones are those of requirements/locked.txt."""
    shipped, made = json.loads(SCHEMA.read_text(encoding="utf-8")), config_schema()
    locked = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "requirements/locked.txt").read_text(), re.MULTILINE))
    same = all(metadata.version(name) == locked[name] for name in LIBRARIES)
    for part in ("properties", "$defs"):
        parts = [{k: v for k, v in each[part].items() if same or k in OWN} for each in (shipped, made)]
        assert parts[0] == parts[1], "write it with: python -m lit_models schema --output configs/schema.json"
    assert shipped["properties"].keys() == made["properties"].keys()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_config_names_the_schema_and_fits_it(path: Path, validator: Draft202012Validator) -> None:
    text = path.read_text(encoding="utf-8")
    comments = [line for line in text.splitlines()[:4] if line.startswith("# yaml-language-server: $schema=")]
    assert [(path.parent / comments[0].partition("=")[2]).resolve()] == [SCHEMA]
    assert problems(validator, yaml.safe_load(text)) == []


def test_the_config_of_a_run_fits_it(run: Run, validator: Draft202012Validator) -> None:
    """It has every setting, as the parser writes it."""
    callbacks = ("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor", "val/loss")
    logger = ("--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", "logs")
    fit = ("fit", "--config", "digits_cnn", "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1")
    status, _, err = run(*fit, *callbacks, *logger, "--early_stopping", "val/acc:3")
    assert status == 0, err
    content = yaml.safe_load(Path("runs/digits_cnn/version_0/config.yaml").read_text(encoding="utf-8"))
    assert problems(validator, content) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainr: {}", "'trainr' was unexpected"),
        ("trainer: {max_epoch: 3}", "'max_epoch' was unexpected"),
        ("trainer: {max_epochs: many}", "'many' is not of type 'integer', 'null'"),
        ("model: LitCN", "'LitCN' is not one of"),
        ("model: {class_path: LitCNN, init_args: {filter: [3]}}", "'filter' was unexpected"),
        ("model: {class_path: lit_models.cnn.LitCNN, init_args: {dropout: high}}", "'high' is not of type 'number'"),
        ("model: {class_path: LitCNN, init_arg: {}}", "'init_arg' was unexpected"),
        ("data: {class_path: MNISTDataModule, init_args: {batchsize: 3}}", "'batchsize' was unexpected"),
        ("optimizer: {class_path: Adam, init_args: {lrr: 1}}", "'lrr' was unexpected"),
        ("optimizer: Adan", "'Adan' is not one of"),
        ("lr_scheduler: {class_path: StepLR, init_args: {step: 1}}", "'step' was unexpected"),
        ("trainer: {callbacks: [{class_path: EarlyStopping, init_args: {patienc: 3}}]}", "'patienc' was unexpected"),
        ("trainer: {callbacks: [{class_path: ErlyStopping}]}", "'ErlyStopping' is not one of"),
        ("test_weights: first", "'first' is not one of ['last', 'best', 'none']"),
        ("kernels: slow", "'slow' is not one of ['auto', 'plain']"),
        ("subcommand: fit", "'subcommand' was unexpected"),
    ],
)
def test_what_is_misspelt_is_refused(text: str, message: str, validator: Draft202012Validator) -> None:
    found = problems(validator, yaml.safe_load(text))
    assert any(message in problem for problem in found), found


@pytest.mark.parametrize(
    "text",
    [
        "model: LitCNN",
        "model: my_model.LitMine",
        "model: {class_path: my_model.LitMine, init_args: {anything: 3}}",
        "model: {init_args: {lr: 0.1}}",
        "data: {init_args: {batch_size: 3}}",
        "trainer: {callbacks: [{class_path: my_file.Mine, init_args: {x: {y: 1}}}, LearningRateMonitor]}",
        "trainer: {callbacks: EarlyStopping}",
        "trainer: {strategy: ddp, devices: auto, precision: 16-mixed}",
        "trainer: {strategy: {class_path: DDPStrategy, init_args: {find_unused_parameters: true}}}",
        "lr_scheduler: {class_path: ReduceLROnPlateau, init_args: {monitor: val/loss}}",
        "inputs: [a, b]\ntop_k: 3\noutput: x.csv\nreport: none",
    ],
)
def test_what_the_program_takes_is_accepted(text: str, validator: Draft202012Validator) -> None:
    assert problems(validator, yaml.safe_load(text)) == []


def test_an_editor_completes_the_names_and_shows_what_they_mean(validator: Draft202012Validator) -> None:
    schema: Any = validator.schema
    names = {part: schema["$defs"][part]["anyOf"][0]["anyOf"][0]["enum"] for part in ("LightningModule", "Callback")}
    assert names["LightningModule"] == registry.model_names()
    assert {"EarlyStopping", "ErrorLines", "LearningRateMonitor"} <= set(names["Callback"])
    assert "FiniteGuard" not in names["Callback"]  # each run has it
    assert schema["$defs"]["LightningDataModule"]["anyOf"][0]["anyOf"][0]["enum"] == registry.data_names()
    described = [bool(part.get("description")) or "$ref" in part for part in schema["properties"].values()]
    assert all(described)
    assert schema["title"] == TITLE
    assert all(module.endswith(".") for module in KNOWN)
