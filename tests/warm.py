"""Runs Python programs that need torch, each in a separate process that is forked after the imports.

`python warm.py` reads one JSON request per line: the words after `python`, the folder, files for output and errors, and
the environment of each process. It answers each with the exit statuses. For a program, `sys.argv`, `sys.path[0]` and
`__name__` are as in a new interpreter.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import traceback
from types import ModuleType
from typing import Any

MODULES = (
    *("lit_models.cli.app", "pyarrow.csv", "pyarrow.parquet", "sklearn.datasets", "tokenizers"),
    *("torch.utils.tensorboard", "torchvision.transforms.v2", "transformers.models.auto.modeling_auto"),
)
"""Modules that most commands import, beside the models and the data of the package. The largest take seconds."""


def run_program(words: list[str]) -> int:
    """Runs `python WORDS`; returns its exit status."""
    try:
        if words[0] == "-m":
            sys.argv, sys.path[0] = ["-m", *words[2:]], os.getcwd()
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = words, os.path.dirname(os.path.abspath(words[0]))
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
            return 1
        return stop.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def run_child(request: dict[str, Any], environment: dict[str, str]) -> None:
    """Runs a request in this process, and ends it."""
    status = 1
    from lightning.pytorch.utilities import rank_zero_only

    atexit._clear()
    try:
        gc.enable()
        os.chdir(request["folder"])
        os.environ.update(environment)
        vars(rank_zero_only)["rank"] = int(environment.get("LOCAL_RANK", 0))  # Lightning read it when it was imported
        for name, stream in (("out", sys.stdout), ("err", sys.stderr)):
            file = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(file, stream.fileno())
        status = run_program(request["words"])
        atexit._run_exitfuncs()  # functions that the program has registered
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def run_request(request: dict[str, Any]) -> list[int]:
    """Runs a program in one process for each environment; returns their exit statuses."""
    children = []
    for environment in request["environments"]:
        children.append(os.fork())
        if not children[-1]:
            run_child(request, environment)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also if the tests run under nohup or in the background
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    gc.disable()  # do not search the millions of objects of the imports, here and in the children
    from lit_models import startup

    startup.begin()
    from lit_models.cli import registry

    registry.import_all()
    no_tensorflow = "tensorboard.compat.notf"  # keeps TensorFlow out, as the program does
    sys.modules[no_tensorflow] = ModuleType(no_tensorflow)
    for name in MODULES:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        print(json.dumps(run_request(json.loads(line))), flush=True)
    os._exit(0)  # libraries would report objects that are left


if __name__ == "__main__":
    main()
