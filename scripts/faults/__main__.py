"""`python -m scripts.faults`: tries every fault for real, and writes the figures into docs/reliability.md.

It takes about an hour on two cores. `--only PART` tries only some parts again; the figures of the others are those of
their last run, in .pytest_cache/faults.json. `--finished N` sets the number of runs without a fault.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from scripts.faults import processes

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
KEPT = ROOT / ".pytest_cache" / "faults.json"
BLOCK = re.compile(r"(<!-- figures -->\n).*?(<!-- end of figures -->)", flags=re.DOTALL)
PROCESSES = "One process that fails ends the whole run in under 30 s; processes that finish end with status 0"
TESTS = {"files": "tests/faults/test_checkpoint_files.py", "resume": "tests/faults/test_resume.py"}
LAUNCHED = {launcher.replace(" ", "-"): launcher for launcher in processes.LAUNCHERS}
PARTS = (*TESTS, *LAUNCHED)
"""All parts, in the order of the page."""


def main() -> int:
    """Tries the faults; returns 1 if a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m scripts.faults", description=__doc__)
    parser.add_argument(
        "--finished", type=int, default=50, help="runs without a fault for each launcher; default: %(default)s"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to try; default: all")
    arguments = parser.parse_args()
    kept: dict[str, list[dict[str, Any]]] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    failed = False
    for part in arguments.only:
        if part in TESTS:
            status, kept[part] = tested(TESTS[part])
        else:
            launched = processes.run(finished=arguments.finished, launchers=(LAUNCHED[part],))
            status, kept[part] = 0, by_kind(launched, LAUNCHED[part])
        failed |= bool(status) or any(row["tried"] != row["kept"] for row in kept[part])
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps(kept), encoding="utf-8")
    if missing := [part for part in PARTS if part not in kept]:
        print(f"docs/reliability.md is not changed: {', '.join(missing)} not tried yet")
        return int(failed)
    text, figures = PAGE.read_text(encoding="utf-8"), tables([row for part in PARTS for row in kept[part]])
    PAGE.write_text(BLOCK.sub(lambda match: f"{match[1]}{figures}\n{match[2]}", text), encoding="utf-8")
    return int(failed)


def tested(path: str) -> tuple[int, list[dict[str, Any]]]:
    """Runs a file of tests with all their faults; returns pytest's exit status and a row for each kind of fault."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.jsonl"
        report.touch()
        command = [sys.executable, "-m", "pytest", "-m", "not real_data and not gpu", path]
        environment = os.environ | {"LIT_MODELS_FAULTS": str(report), "OMP_NUM_THREADS": "1"}
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        return status, [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]


def by_kind(rows: list[dict[str, Any]], launcher: str) -> list[dict[str, Any]]:
    """A row of the page for each kind of fault, summed over all ranks and places."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        kind = row["tried"].partition(",")[0]
        name = "runs without a fault" if kind == "no fault" else f"{kind} of one of 2 processes, at four places"
        counts[f"{name}, {launcher}"][0] += row["times"]
        counts[f"{name}, {launcher}"][1] += row["good"]
    return [
        {"promise": PROCESSES, "fault": name.replace("no memory of", "no memory in"), "tried": tried, "kept": good}
        for name, (tried, good) in counts.items()
    ]


def tables(rows: list[dict[str, Any]]) -> str:
    """A table for each promise: the faults, how often each was tried, and how often the promise was kept."""
    promises: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        promises[row["promise"]].append(row)
    blocks = []
    for promise, faults in promises.items():
        lines = [f"### {promise}", "", "| fault | tried | kept | lost |", "| --- | --- | --- | --- |"]
        lines += [f"| {f['fault']} | {f['tried']} | {f['kept']} | {f['tried'] - f['kept']} |" for f in faults]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


if __name__ == "__main__":
    sys.exit(main())
