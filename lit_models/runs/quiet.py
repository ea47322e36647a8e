"""Hides messages of libraries: advertisements, and advice that does not apply here."""

import logging
import os
import sys
import warnings
from types import ModuleType
from typing import Any

from jsonargparse._deprecated import JsonargparseDeprecationWarning

from lit_models.runs.progress import is_quiet

NOISE = (
    "💡 Tip",
    "GPU available",
    "TPU available",
    "`Trainer.fit` stopped",
    "Restor",
    "Loaded model",
    "Using default",
    "Loading `train_dataloader` to estimate",
    "Seed set to",
)
"""Beginnings of Lightning's log messages."""
LOGGERS = (
    "lightning.pytorch",
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.rank_zero",
    "lightning.fabric.utilities.distributed",
)
"""Lightning's loggers with messages for people."""
WARNINGS = (
    "The '.*_dataloader' does not have many workers",  # batches are gathered at once, so workers would be slower
    "Checkpoint directory .* exists and is not empty",  # the folder of this run
    "Experiment logs directory .* exists and is not empty",  # the folder of this run, which was just created
    "The number of training batches",  # there is one line per epoch, so the logging interval does not matter
    ".*LeafSpec.*",  # from Lightning's code with a newer torch
    "You're resuming from a checkpoint that ended before the epoch ended",  # the run restores the loader itself
    "Total length of `(?!CombinedLoader).*` across ranks is zero",  # no validation part; of training, Combined is shown
    "Be aware that when using `ckpt_path`, callbacks",  # testing and predicting do not need them
    "Couldn't infer the batch indices",  # the sampler here yields whole batches and knows their order
    "Metric `.*` will save all targets and predictions",  # exact values need them
    "LightningCLI's args parameter is intended",  # the entry point of the program passes its arguments
)


def is_shown(record: logging.LogRecord) -> bool:
    """Whether a message of Lightning is printed: a quiet command has only its warnings."""
    if is_quiet() and record.levelno < logging.WARNING:
        return False
    return not record.getMessage().startswith(NOISE)


def quiet_libraries() -> None:
    """Hides these messages, and keeps TensorBoard from importing TensorFlow."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(is_shown)
    # TensorBoard imports TensorFlow, if installed, only to write a file, which takes ten seconds. This switches it off.
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # LitBERT itself prints which weights are untrained
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if "transformers" in sys.modules:  # it has already read these variables
        from transformers.utils import logging as transformers_logging

        messages: Any = transformers_logging
        messages.set_verbosity_error()
        if not sys.stderr.isatty():
            messages.disable_progress_bar()
    warnings.filterwarnings("ignore", category=JsonargparseDeprecationWarning)  # caused by Lightning's calls
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message=message)
