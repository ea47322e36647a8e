"""`python -m scripts.faults`: tries every fault for real, and writes the figures into docs/reliability.md.

It takes about an hour on two cores. `--finished N` sets how often processes that finish are counted.
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
BLOCK = re.compile(r"(<!-- figures -->\n).*?(<!-- end of figures -->)", flags=re.DOTALL)
PROCESSES = "One process that fails ends the whole run in under 30 s; processes that finish end with status 0"


def main() -> int:
    """Tries the faults; returns 1 where a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m scripts.faults", description=__doc__)
    parser.add_argument("--finished", type=int, default=50, help="runs of processes that finish, for each launcher")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.jsonl"
        report.touch()
        command = [sys.executable, "-m", "pytest", "-m", "not real_data and not gpu", "tests/faults"]
        environment = os.environ | {"LIT_MODELS_FAULTS": str(report), "OMP_NUM_THREADS": "1"}
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        rows = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    rows += [
        {"promise": PROCESSES, "fault": row["tried"], "tried": row["times"], "kept": row["good"]}
        for row in processes.run(finished=arguments.finished)
    ]
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(BLOCK.sub(lambda match: f"{match[1]}{tables(rows)}\n{match[2]}", text), encoding="utf-8")
    return int(bool(status) or any(row["tried"] != row["kept"] for row in rows))


def tables(rows: list[dict[str, Any]]) -> str:
    """A table for each promise: the faults, how often each was tried, and how often the promise was kept."""
    promises: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        promises[row["promise"]].append(row)
    blocks = []
    for promise, faults in promises.items():
        lines = [f"**{promise}.**", "", "| fault | tried | kept | lost |", "| --- | --- | --- | --- |"]
        lines += [f"| {f['fault']} | {f['tried']} | {f['kept']} | {f['tried'] - f['kept']} |" for f in faults]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


if __name__ == "__main__":
    sys.exit(main())
