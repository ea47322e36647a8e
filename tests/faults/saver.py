"""Saves one checkpoint after another, as a run does, until a timer kills the process."""

import os
import signal
import sys
import threading
from itertools import count
from pathlib import Path

import torch

from lit_models.runs.checkpoint_files import CheckpointFiles
from lit_models.runs.durable import link

folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
last, previous = folder / "last.ckpt", folder / "previous.ckpt"
threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
for number in count(1):
    if last.exists():
        link(last, previous)
    CheckpointFiles().save_checkpoint({"state_dict": {"w": torch.full((200_000,), float(number))}}, last)
    (folder / "saved.txt").write_text(str(number))
