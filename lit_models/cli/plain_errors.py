"""How a command ends: one line and an exit status after a mistake of the user's or a signal, a traceback otherwise."""

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
    """Ends the process after a mistake of the user's, with one line and status 2, unless `debug` returns True."""
    try:
        with processes.telling():
            yield
    except Stopped as stop:
        if not getattr(rank_zero_only, "rank", 0):
            print(f"{stop}; {stop.advice}", file=sys.stderr)
        raise SystemExit(stop.exit_status) from stop
    except SIGTERMException as stop:
        print("terminated; the run folder keeps the checkpoint of the last completed epoch", file=sys.stderr)
        raise SystemExit(143) from stop
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning has closed its files and asks to leave
            raise stop.__context__ from None
        raise
    except Exception as error:
        if debug() or not is_users(error):
            raise
        if not getattr(rank_zero_only, "rank", 0):
            print(one_line(error), file=sys.stderr)
        raise SystemExit(2) from error
