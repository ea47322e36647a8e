"""Ends a command with one line and an exit status after a mistake of the user or a signal, and with a traceback
otherwise."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

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
