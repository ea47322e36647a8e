"""`python -m tests.call FILE` calls a function in this process, and writes what it returns or raises into FILE.

FILE is a pickle of the function's module, its name and its arguments; see `Programs.call`.
"""

import importlib
import pickle
import sys
from pathlib import Path


def main() -> None:
    file = Path(sys.argv[1])
    module, name, arguments = pickle.loads(file.read_bytes())
    function = getattr(importlib.import_module(module), name)
    result = message = None
    try:
        result = function(*arguments)
    except Exception as error:
        message = str(error)
    file.write_bytes(pickle.dumps((result, message)))


if __name__ == "__main__":
    main()
