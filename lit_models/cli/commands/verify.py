"""compare a model with the Keras file it came from, on your data"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datamodules.errors import UserError
from lit_models import startup
from lit_models.cli.flags import FlagParser

if TYPE_CHECKING:
    from lit_models.keras.verifying import Verification

SPLITS = {"test": "test", "val": "validate", "train": "fit"}
"""The parts of the data, and Lightning's names of their stages."""


def parser() -> FlagParser:
    """The flags of the command."""
    flags = FlagParser(
        __name__,
        "RUN FILE [options]",
        needed=("RUN", "FILE"),
        passes_on=("--data", "--trust"),
        examples=("verify runs/model/version_0 model.keras", "verify best.ckpt model.keras --data MNISTDataModule"),
    )
    flags.add_argument("run", nargs="?", metavar="RUN", help="a run folder, or a checkpoint")
    flags.add_argument("file", nargs="?", metavar="FILE", help="a model that Keras saved: .keras, or legacy .h5")
    flags.add_argument("--split", metavar="PART", choices=tuple(SPLITS), default="test", help="test, val or train")
    return flags


def main(words: list[str]) -> int:
    """Compares the predictions of a model and of a Keras file.

    Returns:
        0 if all answers are equal, otherwise 1.

    Raises:
        UserError: a flag, the run or the file is wrong, or the run has no data.
    """
    settings, rest = parser().read(words)
    startup.begin()
    from lit_models.keras.importing_graph import import_graph
    from lit_models.keras.live import require_keras
    from lit_models.runs.quiet import quiet_libraries

    require_keras("verify")
    quiet_libraries()
    imported = import_graph(Path(settings.file))
    found = compared(checkpoint_of(Path(settings.run)), imported, rest, settings.split)
    report(found, settings.split)
    return 0 if found.equal.all() else 1


def checkpoint_of(run: Path) -> Path:
    """The best or last checkpoint of a run folder; a file is one itself.

    Raises:
        UserError: there is none.
    """
    from lit_models.cli.loading import CHECKPOINTS

    if not run.is_dir():
        return run
    for name in CHECKPOINTS:
        if (path := run / "checkpoints" / name).is_file():
            return path
    raise UserError(f"{run} has no checkpoint: name a run folder such as runs/model/version_0")


def compared(checkpoint: Path, imported: Any, words: list[str], split: str) -> "Verification":
    """The comparison on one part of the data.

    Raises:
        UserError: the model is no LitTask, or there are no data.
    """
    import numpy as np
    from tqdm import tqdm

    from datamodules.base import DataModule
    from lit_models.cli.loading import LoadCLI, load_checkpoint
    from lit_models.keras.verifying import verify
    from lit_models.tasks.task import LitTask

    class VerifyCLI(LoadCLI):
        """A command line that also takes a model without data, so that the error below is the same for all."""

        data_needed = False

    cli = load_checkpoint(checkpoint, ["--trainer.accelerator", "cpu", *words], program=VerifyCLI)
    module, data = cli.model, cli.datamodule
    if not isinstance(module, LitTask):
        raise UserError(f"{type(module).__name__} is not a LitTask, so it came from no Keras file")
    if not isinstance(data, DataModule):
        raise UserError(f"{checkpoint} has no data of this program: add --data CLASS")
    data.prepare_data()
    data.setup(SPLITS[split])
    loader = getattr(data, f"{split}_dataloader")()
    if not loader or not len(loader.sampler):
        raise UserError(f"{type(data).__name__} has no {split} part here: choose another --split")
    places = [index for batch in loader.sampler.batches_of(0) for index in batch.tolist()]
    bar = tqdm(loader, desc="compared", unit=" batches", disable=None, leave=False)
    module.eval()
    task = str(module.hparams.get("task", "classification"))
    return verify(lambda inputs: module.predictions(module(inputs)), imported, bar, np.array(places), task=task)


def report(found: "Verification", split: str) -> None:
    """Prints the comparison."""
    total, equal = len(found.equal), int(found.equal.sum())
    print(f"{equal:,} of {total:,} answers on the {split} part are equal")
    ours, theirs = found.correct(found.ours), found.correct(found.theirs)
    if ours is not None:
        print(f"correct: {ours:,} here, {theirs:,} in Keras")
    print(f"largest differences of {'numbers' if found.task == 'regression' else 'probabilities'}:")
    for place, difference in found.worst():
        print(f"  {difference:.1e}  {split}[{place}]")
