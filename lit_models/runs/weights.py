"""Reports weights that do not fit a module, when Lightning loads them after the module's own hooks."""

from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning as L

from datamodules.errors import UserError
from lit_models.runs.checkpoints import check_weights


def explain_weights(trainer: L.Trainer, path: Path | None) -> None:
    """Makes `trainer` report on one line which weight of a checkpoint does not fit.

    Args:
        trainer: the Trainer that loads the checkpoint.
        path: path of the checkpoint, if there is one.
    """
    strategy = cast(Any, trainer).strategy
    strategy.load_model_state_dict = partial(_load, strategy.load_model_state_dict, trainer, path)


def _load(load: Any, trainer: L.Trainer, path: Path | None, checkpoint: dict[str, Any], strict: bool = True) -> None:
    try:
        load(checkpoint, strict=strict)
    except RuntimeError as error:
        if path is not None and strict:
            check_weights(path, checkpoint, trainer.lightning_module)
        problems = str(error).splitlines()[1:]  # torch's first line has only the name of the module
        if not problems:
            raise
        name = type(trainer.lightning_module).__name__
        raise UserError(f"the checkpoint does not fit {name}: {problems[0].strip()}") from error
