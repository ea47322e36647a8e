"""turn a trained Keras file into a checkpoint and a config"""

from pathlib import Path

from datamodules.errors import UserError
from lit_models import startup
from lit_models.cli import registry
from lit_models.cli.flags import FlagParser
from lit_models.cli.messages import nearest
from lit_models.keras.adapters import ADAPTERS, GRAPH_MODEL, adapter_of


def parser() -> FlagParser:
    """The flags of the command."""
    flags = FlagParser(
        __name__,
        "FILE [options]",
        needed=("FILE",),
        passes_on=("--data.",),
        examples=("import-keras model.keras", "import-keras model.h5 --data MNISTDataModule"),
    )
    flags.add_argument("file", nargs="?", metavar="FILE", help="a model that Keras saved: .keras, or legacy .h5")
    flags.add_argument(
        "--model",
        metavar="CLASS",
        help=f"network: {', '.join((*ADAPTERS, GRAPH_MODEL))}; recognised by its layers unless given",
    )
    flags.add_argument("--data", metavar="CLASS", help="data for the config, with --data.NAME VALUE; optional")
    flags.add_argument(
        "--dropout", metavar="RATE", type=float, help="rate of dropout that replaces all rates of the file"
    )
    flags.add_argument(
        "--experiment", metavar="NAME", help="the run folder is RUNS_DIR/NAME/version_N; the file's name unless given"
    )
    flags.add_argument("--runs_dir", metavar="DIR", default="runs", help="folder of all runs; runs unless given")
    return flags


def main(words: list[str]) -> int:
    """Reads a Keras file, compares its outputs with those of the network, and writes a run folder; returns 0.

    Raises:
        UserError: a flag is wrong, or the model in the file has no counterpart here.
    """
    settings, data_words = parser().read(words)
    if data_words and settings.data is None:
        raise UserError(f"{data_words[0].partition('=')[0]} needs --data CLASS")
    path = Path(settings.file)
    experiment = path.stem if settings.experiment is None else settings.experiment
    check_flags(settings.model, settings.dropout, experiment)
    startup.begin()
    from lit_models.cli.keras_import import import_file

    import_file(
        path,
        model=settings.model,
        dropout=settings.dropout,
        data_words=["--data", settings.data, *data_words] if settings.data else [],
        runs_dir=Path(settings.runs_dir),
        experiment=experiment,
    )
    return 0


def check_flags(model: str | None, dropout: float | None, experiment: str) -> None:
    """Checks the flags that can be checked without the file.

    Raises:
        UserError: the model is unknown, a number is out of its range, or the experiment is a path.
    """
    known = (*ADAPTERS, GRAPH_MODEL)
    if model in registry.model_names():
        adapter_of(model)
    elif model not in (None, GRAPH_MODEL):
        raise UserError(f"--model: no network {model!r}{nearest(model, known)} (known: {', '.join(known)})")
    if dropout is not None and not 0 <= dropout < 1:
        raise UserError(f"--dropout must be 0 to below 1, got {dropout}")
    if Path(experiment).name != experiment or experiment in ("", ".", ".."):
        raise UserError(f"--experiment must be the name of one folder, not a path: {experiment!r}")
