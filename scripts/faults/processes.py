"""Runs of two processes, of which one is killed, is stopped or runs out of memory; and many runs without a fault."""

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lit_models.runs.ports import free_port
from scripts.processes import ROOT

PROGRAM = Path(__file__).parent / "faulty_program.py"
FIT = ("fit", "--config", "digits_cnn", "--model", "LitMLP", "--trainer.accelerator", "cpu", "--data.batch_size", "400")
ONE_EPOCH = ("--trainer.max_epochs", "1")
LAUNCHERS = ("lightning", "torchrun", "torchrun with two nodes")
KINDS = {"kill": "SIGKILL", "stop": "SIGSTOP", "memory": "no memory"}
PLACES = ("start", "training", "validation", "saving")
NAMED = re.compile(r"^error: process (\d) \(rank \1, pid (\d+)\) (.+); the other processes .+ ended$", re.M)
LIMIT = 300  # seconds after which a run counts as stuck


@dataclass(frozen=True)
class End:
    """How a run of two processes ended.

    Args:
        statuses: exit statuses of the launchers: one, or two for two nodes.
        seconds: from the fault to the end of all processes; without a fault, of the whole run.
        named: the line that names the faulty process; None if there is none.
        left: number of processes of the run that had not ended.
        errors: standard error.
    """

    statuses: tuple[int, ...]
    seconds: float
    named: str | None
    left: int
    errors: str


def two_processes(launcher: str, folder: Path, *words: str, **fault: str) -> End:
    """Runs the command line in two processes.

    Args:
        launcher: one of `LAUNCHERS`.
        folder: folder in which the run is started.
        words: the command and its flags.
        fault: FAULT_RANK, FAULT_KIND and FAULT_PLACE.
    """
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LOCAL_", "MASTER_", "RANK", "NODE_"))}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "RUN_MARK": mark, **fault}
    paths = [folder / f"{mark}.out", folder / f"{mark}.err"]
    with paths[0].open("w") as out, paths[1].open("w") as err:
        started = [
            subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err, start_new_session=True)
            for command in commands(launcher, words)
        ]
        begin = time.monotonic()
        while (running := living(mark)) and time.monotonic() < begin + LIMIT:
            if fault and "fault in" not in paths[0].read_text():
                fault_time = time.monotonic()
            for process in started:
                process.poll()
            time.sleep(0.05)
        seconds = time.monotonic() - (fault_time if fault else begin)
        for pid in running:
            os.kill(pid, 9)
        statuses = tuple(process.wait() for process in started)
    errors = paths[1].read_text()
    named = NAMED.search(errors)
    return End(statuses, seconds, named[0] if named else None, len(running), errors)


def commands(launcher: str, words: tuple[str, ...]) -> list[list[str]]:
    """The commands of a run: one launcher, or one for each node."""
    program = [str(PROGRAM), *words]
    if launcher == "lightning":
        return [[sys.executable, *program, "--trainer.devices", "2", "--trainer.strategy", "ddp"]]
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    if launcher == "torchrun":
        return [[*torchrun, "--standalone", "--nproc-per-node", "2", *program]]
    address = ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    return [[*torchrun, "--nnodes", "2", "--node-rank", str(rank), *address, *program] for rank in (0, 1)]


def living(mark: str) -> list[int]:
    """The processes of a run that have not ended, found by a variable in their environment."""
    pids = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"RUN_MARK={mark}".encode() in (path / "environ").read_bytes().split(b"\0"):
                pids.append(int(path.name))
        except OSError:
            continue
    return pids


def run(*, finished: int = 50, faulty: int = 1, launchers: tuple[str, ...] = LAUNCHERS) -> list[dict[str, object]]:
    """Tries every fault with every launcher, and runs without a fault; returns a row for each.

    Args:
        finished: runs without a fault for each launcher.
        faulty: runs for each fault.
        launchers: the launchers to try.
    """
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for launcher in launchers:
            for place, kind, rank in faults(launcher):
                fault = {"FAULT_RANK": rank, "FAULT_KIND": kind, "FAULT_PLACE": place}
                ends = [two_processes(launcher, folder, *FIT, **fault) for _ in range(faulty)]
                rows.append(row(f"{KINDS[kind]}, rank {rank}, {place}, {launcher}", ends, ends_well=False))
                print(rows[-1], flush=True)
            ends = [two_processes(launcher, folder, *FIT, *ONE_EPOCH) for _ in range(finished)]
            rows.append(row(f"no fault, {launcher}", ends, ends_well=True))
            print(rows[-1], flush=True)
    return rows


def faults(launcher: str) -> list[tuple[str, str, str]]:
    """Each place, kind and rank. With Lightning, only rank 1 fails at the start, because rank 0 starts it."""
    ranks = {place: ("1",) if place == "start" and launcher == "lightning" else ("0", "1") for place in PLACES}
    return [(place, kind, rank) for place in PLACES for kind in KINDS for rank in ranks[place]]


def row(tried: str, ends: list[End], *, ends_well: bool) -> dict[str, object]:
    """What was tried, how often, and how it ended."""
    if ends_well:
        good = [end for end in ends if not any(end.statuses) and not end.left]
        result = f"{len(good)} ended with status 0"
    else:
        good = [end for end in ends if all(end.statuses) and not end.left and end.seconds < 30]
        named = sum(end.named is not None for end in ends)
        result = f"{len(good)} ended in under 30 s with another status than 0; {named} named the process"
    seconds = round(max(end.seconds for end in ends), 1)
    return {"tried": tried, "times": len(ends), "good": len(good), "ended": result, "longest_seconds": seconds}


if __name__ == "__main__":
    run(finished=int(sys.argv[1]) if len(sys.argv) > 1 else 50)
