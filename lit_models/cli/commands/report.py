"""make the report of a run again, or compare runs"""

import time
from pathlib import Path

from datamodules.errors import UserError
from lit_models import startup
from lit_models.cli.flags import FlagParser

COMPARISON = "comparison.html"
MOST_RUNS = 20


def parser() -> FlagParser:
    """The flags of the command."""
    flags = FlagParser(
        __name__,
        "RUN [RUN ...] [options]",
        needed=("RUN",),
        examples=("report runs/x/version_0", "report runs/x/version_0 runs/x/version_1"),
    )
    flags.add_argument(
        "run", nargs="*", metavar="RUN", help="run folders; several are compared, the first is the baseline"
    )
    flags.add_argument(
        "--output", metavar="FILE", help=f"the page; report.html in the run folder, or {COMPARISON}, unless given"
    )
    flags.add_argument("--force", action="store_true", help="replace a file that this program did not write")
    return flags


def main(words: list[str]) -> int:
    """Writes the page; returns the exit status, 0.

    Raises:
        UserError: a wrong flag, a folder that is not a run, a damaged file, or a file that would be replaced.
    """
    settings, _ = parser().read(words)
    folders = [Path(run).expanduser() for run in settings.run]
    if not folders:
        raise UserError("report: not given: RUN, the folder of a run such as runs/digits_cnn/version_0")
    if len(folders) > MOST_RUNS:
        raise UserError(f"report compares at most {MOST_RUNS} runs, got {len(folders)}")
    startup.begin()
    from lit_models.runs.new_files import file_name
    from lit_models.runs.reporting import compare_runs, is_ours, page_name, read_record, write_report

    start = time.perf_counter()
    output = file_name(settings.output) if settings.output else None
    if output is None:
        output = folders[0] / page_name(read_record(folders[0]).results) if len(folders) == 1 else Path(COMPARISON)
    exists = output.exists()
    if exists and not settings.force and not is_ours(output):
        raise UserError(f"{output} exists, and this program did not write it: name another --output, or add --force")
    if len(folders) == 1:
        path = write_report(folders[0], output=output, start=start)
    else:
        path = compare_runs(folders, output, start=start)
    print(f"report in {path}{', in place of the earlier one' if exists else ''}")
    return 0
