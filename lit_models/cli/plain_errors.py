"""How errors leave the program: a command ends with one line and an exit status after a mistake of the user or a
signal, and with a traceback otherwise; the functions of Python raise an exception."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from datamodules.errors import UserError
from lit_models.cli.messages import is_users, one_line
from lit_models.runs import processes
from lit_models.runs.stopping import Stopped


@contextmanager
def plain_errors(*, debug: Callable[[], bool]) -> Iterator[None]:
    """Prints a mistake of the user on one line and ends the process with status 2, unless `debug` returns True."""
    try:
        with processes.telling(is_users):
            yield
    except Stopped as stop:
        if not getattr(rank_zero_only, "rank", 0):
            print(f"{stop}; {stop.advice}", file=sys.stderr)
        raise SystemExit(stop.exit_status) from stop
    except SIGTERMException as stop:
        print("terminated; the run folder keeps the checkpoint of the last completed epoch", file=sys.stderr)
        raise SystemExit(143) from stop
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning has closed its files and exits
            raise stop.__context__ from None
        raise
    except Exception as error:
        if debug() or not is_users(error):
            raise
        if processes.speaks_first():
            print(one_line(error), file=sys.stderr, flush=True)
        raise SystemExit(2) from error


@contextmanager
def errors_in_python() -> Iterator[None]:
    """Turns Lightning's error about a wrong setting into a UserError, and a training that was interrupted into a
    KeyboardInterrupt."""
    try:
        yield
    except MisconfigurationException as error:
        raise UserError(" ".join(str(error).split())) from error
    except SystemExit as stop:
        if stop.code == 130:
            raise KeyboardInterrupt from stop
        raise
