"""whether a run can work here: versions, GPU, disk, data

It reads metadata and files, and imports no torch.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from datamodules.storage.locations import data_cache, default_data_dir
from lit_models.cli.flags import FlagParser
from lit_models.cli.metadata import requirements

COMPROMISED = {"lightning": ("2.6.2", "2.6.3")}
"""Releases that contained malicious code."""
LEAST_DISK = 1e9
"""Minimum bytes for a run, its checkpoints and the data cache."""


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        name: name of the check.
        text: the result in words.
        good: False if a run cannot work because of it; None if it is information only.
    """

    name: str
    text: str
    good: bool | None = None


def parser() -> FlagParser:
    """The command has no flags."""
    return FlagParser(__name__)


def main(words: list[str]) -> int:
    """Prints the report; returns the exit status: 1 if a run could not work, otherwise 0."""
    parser().read(words)
    findings = [*machine(), *packages(), *gpus(), *folders(), *data()]
    width = max(len(f.name) for f in findings)
    for finding in findings:
        print(f"{mark(finding.good)} {finding.name:{width}}  {finding.text}")
    faults = [f.name for f in findings if f.good is False]
    print(f"\nnot ready: {', '.join(faults)}" if faults else "\nready")
    return 1 if faults else 0


def mark(good: bool | None) -> str:
    """The mark before a line, in characters that the terminal can show."""
    if good is None:
        return " "
    fancy = "utf" in (sys.stdout.encoding or "").lower()
    return ("✓" if fancy else "+") if good else ("✗" if fancy else "!")


def machine() -> Iterator[Finding]:
    """Python, system, cores, memory."""
    new_enough = sys.version_info >= (3, 11)
    yield Finding("python", f"{platform.python_version()}{'' if new_enough else ', needs 3.11'}", new_enough)
    yield Finding("system", f"{platform.system()} {platform.release()} {platform.machine()}")
    yield Finding("cores", str(usable_cores()))
    memory = total_memory()
    yield Finding("memory", f"{memory / 2**30:.1f} GiB" if memory else "unknown")


def usable_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def total_memory() -> int | None:
    """Bytes of memory: that of the machine, or the container's limit if it is less; None if unknown."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else ""
    return min(machine, int(text)) if text.isdigit() else machine


def packages() -> Iterator[Finding]:
    """Compares each core dependency with its bounds, and checks that torch and torchvision fit together."""
    for text in requirements():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate():
            yield judge(requirement, installed(requirement.name))
    torch, torchvision = installed("torch"), installed("torchvision")
    if torch and torchvision:
        yield judge_pair(torch, torchvision, metadata.requires("torchvision") or [])


def installed(name: str) -> str | None:
    """Version of a package; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def judge(requirement: Requirement, version: str | None) -> Finding:
    """Whether an installed version is within the bounds."""
    name, bounds = requirement.name, str(requirement.specifier)
    if version is None:
        return Finding(name, "not installed", False)
    if version in COMPROMISED.get(name, ()):
        return Finding(name, f"{version} was compromised: remove it, and renew the passwords of this machine", False)
    good = requirement.specifier.contains(version, prereleases=True)
    return Finding(name, version if good else f"{version}, needs {bounds}", good)


def judge_pair(torch: str, torchvision: str, needs: Iterable[str]) -> Finding:
    """Whether torchvision was built for this torch. Its metadata contain the release, and the label after the plus sign
    (`+cpu`, `+cu130`) names the build."""
    wanted = [r.specifier for r in map(Requirement, needs) if r.name == "torch"]
    builds = [Version(v).local or "" for v in (torch, torchvision)]
    name, advice = "torch pair", "install torch and torchvision again, in one command"
    if not all(specifier.contains(torch, prereleases=True) for specifier in wanted):
        return Finding(name, f"torchvision {torchvision} is for torch {wanted[0]}, here is {torch}: {advice}", False)
    if builds[0] != builds[1]:
        return Finding(name, f"torch {torch} and torchvision {torchvision} are different builds: {advice}", False)
    return Finding(name, "torch and torchvision fit", True)


def gpus() -> Iterator[Finding]:
    """NVIDIA GPUs that the driver lists."""
    program = shutil.which("nvidia-smi")
    if program is None:
        yield Finding("gpu", "no NVIDIA driver")
        return
    try:
        listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding("gpu", f"nvidia-smi does not answer: {error}")
        return
    lines = listed.stdout.strip().splitlines() if listed.returncode == 0 else []
    for line in lines or ["none that the NVIDIA driver can use"]:
        yield Finding("gpu", re.sub(r" \(UUID: .*\)", "", line.strip()))
    if lines and (Version(installed("torch") or "0").local or "") == "cpu":
        yield Finding("gpu", "torch is built for CPUs only, so no GPU will be used")


def folders() -> Iterator[Finding]:
    """Free space and permissions of the folders that a run writes to: the current folder (`runs/`) and the data
    cache."""
    for name, folder in (("current folder", Path.cwd()), ("data cache", data_cache())):
        yield judge_folder(name, folder)


def judge_folder(name: str, folder: Path) -> Finding:
    """Whether a folder can be written to, or created, and has free space."""
    there = next(f for f in (folder, *folder.parents) if f.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return Finding(name, f"{folder}: cannot be written to", False)
    free = shutil.disk_usage(there).free
    text = f"{folder}: {free / 1e9:.1f} GB free"
    return Finding(name, text if free >= LEAST_DISK else f"{text}, needs {LEAST_DISK / 1e9:.0f} GB", free >= LEAST_DISK)


def data() -> Iterator[Finding]:
    """The public datasets that are present. Others are downloaded when a run needs them."""
    folder = default_data_dir()
    yield Finding("data folder", f"{folder}{'' if folder.is_dir() else ': not there yet'}")
    for name in ("MNIST", "FashionMNIST", "KMNIST"):
        yield judge_data(name, [folder / name / "raw" / f"{part}-images-idx3-ubyte" for part in ("train", "t10k")], all)
    yield judge_data("IMDB", [folder / place for place in ("aclImdb_v1.tar.gz", "aclImdb", "imdb.npz")], any)


def judge_data(name: str, places: list[Path], enough: Callable[[Iterable[bool]], bool]) -> Finding:
    """Whether the files of a dataset are present; missing files are not a fault."""
    there = enough(place.exists() for place in places)
    return Finding(name, "there" if there else "not there; the first run that needs it downloads it", there or None)
