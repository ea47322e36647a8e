"""What the benchmark consists of: workloads, the rivals in each, their targets, and the job of one process."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Device = Literal["cpu", "cuda"]
Size = Literal["full", "short"]
BOTH: tuple[Device, ...] = ("cpu", "cuda")
OURS = "ours"
"""Name of our command line with its default settings, in every workload."""


@dataclass(frozen=True)
class Entry:
    """A rival in a workload.

    Args:
        name: name of the rival, on the page and in the results.
        module: its file in `rivals/`.
        options: options for the module, plain values.
        start: seconds before the work begins, on two cores; used for the forecast.
        work: seconds of the work, on two cores; used for the forecast.
        most: maximum number of repetitions. Slow rivals that decide no target have fewer.
        optional: whether it only runs if `--rival` names it.
        devices: where it runs.
        packages: packages that it imports; if one is not installed, the rival is reported as missing.
        environment: environment variables of its process.
        command: whether the rival is a separate program; its file then has `command(job)` and `read(job, lines)`.
        check: whether it only checks that the work is equal, and is not timed. Its repetition is 0.
    """

    name: str
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    start: float = 5.0
    work: float = 10.0
    most: int = 1000
    optional: bool = False
    devices: tuple[Device, ...] = BOTH
    packages: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    command: bool = False
    check: bool = False


@dataclass(frozen=True)
class Target:
    """What a workload must reach.

    Args:
        text: the sentence on the page.
        kind: "faster": the best rival's `figure` divided by ours is at least `value`; "share": ours divided by the best
            rival's is at most `value`; "below": our `figure` is at most `value`.
        value: the bound.
        against: names of the rivals; the one with the smallest median counts.
        figure: the number of a cell that is compared; smaller is better.
        of: names of the entries of ours that the target is about; the one with the smallest median counts.
        workload: name of the rivals' workload; the same workload if not given.
        reach: a better value that we aim for.
        devices: devices for which it is a target.
    """

    text: str
    kind: Literal["faster", "share", "below"]
    value: float
    against: tuple[str, ...] = ()
    figure: str = "epoch"
    of: tuple[str, ...] = (OURS,)
    workload: str | None = None
    reach: str = ""
    devices: tuple[Device, ...] = ("cpu",)


@dataclass(frozen=True)
class Workload:
    """The same work for all rivals.

    Args:
        name: name on the command line.
        place: order on the page.
        title: its heading on the page.
        text: description of the work on the page.
        entries: the rivals, ours first.
        targets: what must be reached.
        settings: settings of the work, such as the numbers of epochs and batches.
        short: settings that `--short` replaces.
        short_share: part of the work that `--short` leaves, for the forecast.
        needs: data in LIT_MODELS_DATA: "mnist", "imdb" or "".
        prepares: data that are prepared before the cells: "mnist", "imdb", "reviews", "layers".
        figure: the number of a cell that its table compares.
        unit: name of this number on the page.
        flops: floating-point operations of the matrix products in the figure.
        training_epochs: epochs of the whole program, 0 if the workload has no epochs.
        devices: where it runs.
    """

    name: str
    place: int
    title: str
    text: str
    entries: tuple[Entry, ...]
    targets: tuple[Target, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    short: Mapping[str, Any] = field(default_factory=dict)
    short_share: float = 0.1
    needs: Literal["mnist", "imdb", ""] = ""
    prepares: tuple[str, ...] = ()
    figure: str = "epoch"
    unit: str = "seconds an epoch"
    flops: float = 0.0
    training_epochs: int = 0
    devices: tuple[Device, ...] = ("cpu",)

    def settings_of(self, size: Size) -> dict[str, Any]:
        """The settings of a full or a short run."""
        return {**self.settings, **(self.short if size == "short" else {})}


@dataclass(frozen=True)
class Cell:
    """One process of the plan."""

    workload: Workload
    entry: Entry
    repetition: int

    def key(self, device: Device, size: Size) -> tuple[str, str, str, str, int]:
        """The key of its result."""
        return (device, size, self.workload.name, self.entry.name, self.repetition)

    def forecast(self, size: Size) -> float:
        """Seconds on two cores."""
        return self.entry.start + self.entry.work * (self.workload.short_share if size == "short" else 1.0)


@dataclass(frozen=True)
class Job:
    """The task of one process, passed to it as a file.

    Args:
        workload: name of the workload.
        rival: name of the rival.
        module: file of the rival.
        options: options of the rival.
        settings: settings of the work.
        device: "cpu" or "cuda".
        threads: number of threads of the process.
        repetition: number of the repetition; it is also the seed.
        data: folder with the prepared arrays and texts.
        folder: temporary folder of the process.
    """

    workload: str
    rival: str
    module: str
    options: dict[str, Any]
    settings: dict[str, Any]
    device: Device
    threads: int
    repetition: int
    data: str
    folder: str

    @property
    def result(self) -> Path:
        """The file for the numbers of the process."""
        return Path(self.folder) / "result.json"

    def write(self) -> Path:
        """Writes the job for the process; returns the file's path."""
        path = Path(self.folder) / "job.json"
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: str) -> "Job":
        """The job in a file that `write` has written."""
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))


def needs_bfloat16(options: Mapping[str, Any]) -> bool:
    """Whether a rival with these options computes in bfloat16."""
    return options.get("precision") == "bf16" or bool(options.get("arguments", {}).get("bf16"))


class MissingRival(Exception):
    """A rival cannot run here; the text says why."""
