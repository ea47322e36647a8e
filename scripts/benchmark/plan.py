"""Which cells there are, in which order, and how long they take."""

from collections.abc import Mapping, Sequence

from scripts.benchmark.cells import OURS, Cell, Device, Size, Workload
from scripts.benchmark.results import Record, has_numbers, key
from scripts.benchmark.workloads.machine import NAME as MACHINE


def chosen(
    workloads: Mapping[str, Workload], names: Sequence[str] | None, rivals: Sequence[str] | None, device: Device
) -> list[Workload]:
    """The workloads with these names that run on a device; without names, all. If one of them counts products, the
    measurement of the machine's rate is added."""
    selected = [w for w in workloads.values() if device in w.devices and (names is None or w.name in names)]
    if rivals is not None:
        selected = [w for w in selected if any(e.name in rivals for e in w.entries)]
    if any(w.flops for w in selected) and workloads[MACHINE] not in selected:
        selected.insert(0, workloads[MACHINE])
    return selected


def planned(
    workloads: Sequence[Workload], rivals: Sequence[str] | None, device: Device, repetitions: int
) -> list[Cell]:
    """All cells in order: the checks, then the first repetition of everything, then the second, and so on. Rivals of a
    workload follow one another, so that a pair of them sees the machine in the same state."""
    cells = []
    for repetition in range(repetitions + 1):
        for workload in workloads:
            for entry in workload.entries:
                wanted = workload.name == MACHINE or (
                    not entry.optional if rivals is None else entry.name in (*rivals, OURS)
                )
                now = repetition == 0 if entry.check else 1 <= repetition <= entry.most
                if wanted and now and device in entry.devices:
                    cells.append(Cell(workload, entry, repetition))
    return cells


def missing_cells(cells: Sequence[Cell], records: Sequence[Record], device: Device, size: Size) -> list[Cell]:
    """The cells that have no numbers yet."""
    done = {key(record) for record in records if has_numbers(record)}
    return [cell for cell in cells if cell.key(device, size) not in done]


def seconds_left(cells: Sequence[Cell], records: Sequence[Record], device: Device, size: Size) -> float:
    """Forecast for these cells: for each, the seconds of the newest cell of the same rival, or else the estimate."""
    seen = {key(record)[:4]: float(record["seconds"]) for record in records if "seconds" in record}
    return sum(seen.get(cell.key(device, size)[:4], cell.forecast(size)) for cell in cells)
