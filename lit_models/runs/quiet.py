"""What libraries print during a run, without advertisements and advice that does not apply here."""

import logging
import os
import sys
import warnings
from types import ModuleType
from typing import Any

from jsonargparse._deprecated import JsonargparseDeprecationWarning

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
WARNINGS = (
    "The '.*_dataloader' does not have many workers",  # a batch is gathered at once: workers would be slower
    "Checkpoint directory .* exists and is not empty",  # the run's own
    "Experiment logs directory .* exists and is not empty",  # the run's own, created a moment ago
    "The number of training batches",  # one line an epoch does not need the logging interval
    ".*LeafSpec.*",  # of Lightning's own code, under a torch newer than it
    "You're resuming from a checkpoint that ended before the epoch ended",  # the run brings the loader there itself
    "Total length of `.*` across ranks is zero",  # no validation part, as in the faithful configs
    "Be aware that when using `ckpt_path`, callbacks",  # testing and predicting need none of them
    "Couldn't infer the batch indices",  # our sampler gives whole batches, and knows their order itself
    "Metric `.*` will save all targets and predictions",  # an exact value needs them
    "LightningCLI's args parameter is intended",  # the program's entry point passes its own words on
)


def quiet_libraries() -> None:
    """Keeps these messages off the screen, and TensorFlow out of TensorBoard."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero", "lightning.pytorch"):
        logging.getLogger(name).addFilter(lambda record: not record.getMessage().startswith(NOISE))
    # TensorBoard imports TensorFlow, where it is installed, only to write to a file: ten seconds. Its own switch.
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # LitBERT itself says which weights are untrained
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if "transformers" in sys.modules:  # it has read these variables
        from transformers.utils import logging as transformers_logging

        messages: Any = transformers_logging
        messages.set_verbosity_error()
        if not sys.stderr.isatty():
            messages.disable_progress_bar()
    warnings.filterwarnings("ignore", category=JsonargparseDeprecationWarning)  # calls of Lightning's
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message=message)
