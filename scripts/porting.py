"""Measures what each difference between Keras and torch costs when it is ignored, and writes it into docs/porting.md.

    python scripts/porting.py                        what docs/porting.json does not hold yet
    python scripts/porting.py --only mnist --seeds 1 one measurement, one seed
    python scripts/porting.py --page                 only the page's tables, from the results

Needs real MNIST and IMDB (LIT_MODELS_DATA) and Keras with TensorFlow; `KERAS_BACKEND` names another backend. Each
measurement is a process of its own with one thread, so that rounding does not depend on what else the machine does; all
of them took an hour and a half on two busy cores. A result goes to docs/porting.json when its run ends: stop at any
time, and start again to go on. The text of the page is written by hand; the tables between its markers come from the
results.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # `scripts` and `tests` are no installed packages
RESULTS = ROOT / "docs" / "porting.json"
PACKAGES = ("torch", "numpy", "keras", "tensorflow", "tensorflow-cpu", "jax")
MEASURES = ("mnist", "simple", "gates", "steps", "xor", "nudged")
SEEDS = 3


def main() -> None:
    """Reads the flags; measures what is missing; writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="MEASURE", help=f"of {', '.join(MEASURES)}; all unless given")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds of each, from 0")
    parser.add_argument("--page", action="store_true", help="measure nothing; write the tables from the results")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the results; the page lies beside it")
    parser.add_argument("--run", nargs=2, metavar=("MEASURE", "SEED"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        one(given.run[0], int(given.run[1]), given.results)
        return
    if unknown := set(given.only or ()) - set(MEASURES):
        parser.error(f"no measurement {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    if given.seeds < 1:
        parser.error("--seeds must be at least 1")
    if not given.page:
        if "LIT_MODELS_DATA" not in os.environ:
            parser.error("LIT_MODELS_DATA must name the folder that holds MNIST/raw and the IMDB archive")
        for name in given.only or MEASURES:
            for seed in range(given.seeds):
                measure(name, seed, given.results)
    page = given.results.with_suffix(".md")
    missing = [name for name in MEASURES if name not in read(given.results)]
    if missing or not page.is_file():
        needs = f"results of {', '.join(missing)}" if missing else f"its text, {page}"
        if given.page:
            parser.error(f"the page needs {needs}")
        print(f"no page written: it needs {needs}")
        return
    from scripts.porting_page import write_page

    print(f"written: {write_page(read(given.results), page)}")


def read(path: Path) -> dict[str, Any]:
    """The results so far: by measurement, then by seed."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def measure(name: str, seed: int, path: Path) -> None:
    """One measurement in a process of its own, unless its result is there."""
    if str(seed) in read(path).get(name, {}):
        return
    one_thread = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "tensorflow")}
    words = [sys.executable, __file__, "--results", str(path), "--run", name, str(seed)]
    done = subprocess.run(words, cwd=ROOT, env=os.environ | one_thread | quiet, check=False)
    if done.returncode:
        raise SystemExit(f"failed: {name} {seed}")
    print(f"{name}, seed {seed}: {read(path)[name][str(seed)]['seconds']} s", flush=True)


def one(name: str, seed: int, path: Path) -> None:
    """Measures in this process, and adds the result to the file."""
    import torch

    from lit_models.runs.results import commit
    from scripts.porting_runs import MEASURES

    torch.set_num_threads(1)
    begun = time.perf_counter()
    result = MEASURES[name](seed)
    installed = {d.name.replace("_", "-"): d.version for d in metadata.distributions()}
    record = {
        **result,
        "seconds": round(time.perf_counter() - begun, 1),
        "commit": commit(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread a run",
        "versions": {"python": platform.python_version()} | {p: installed[p] for p in PACKAGES if p in installed},
    }
    found = read(path)
    found.setdefault(name, {})[str(seed)] = record
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
