"""Runs Python programs that need torch, each in a process of its own that is forked after the imports.

`python warm.py` reads one JSON request a line: the words after `python`, the folder, and files for output and errors.
It answers each with the exit status. A program sees what a fresh interpreter shows it: `sys.argv`, `sys.path[0]` and
the name `__main__`.
"""

import json
import os
import runpy
import sys
import traceback
from typing import Any


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


def run_child(request: dict[str, Any]) -> None:
    """Runs a request in this process, and ends it."""
    status = 1
    try:
        os.chdir(request["folder"])
        os.environ.update(request["environment"])
        for name, stream in (("out", sys.stdout), ("err", sys.stderr)):
            file = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, stream.fileno())
        status = run_program(request["words"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def main() -> None:
    import lit_models.cli.app  # noqa: F401
    from lit_models.cli import registry

    registry.import_all()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            run_child(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
