"""The numbers of machines and processes under torchrun, which the Trainer does not read itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from datamodules.errors import UserError


def places(settings: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, int]:
    """The Trainer's `num_nodes` and `devices` under torchrun; empty without torchrun.

    Args:
        settings: settings of the Trainer. Its defaults, 1 node and "auto" devices, count as not set.
        environment: variables of this process.

    Raises:
        UserError: the settings disagree with torchrun, or its machines have different numbers of processes.
    """
    if "TORCHELASTIC_RUN_ID" not in environment:
        return {}
    total, local = int(environment["WORLD_SIZE"]), int(environment["LOCAL_WORLD_SIZE"])
    nodes = int(environment.get("GROUP_WORLD_SIZE", total // local))
    if nodes * local != total:
        raise UserError(
            f"torchrun has started {total} processes, {local} of them on this machine: "
            f"give each of the {nodes} machines the same --nproc-per-node"
        )
    _check("num_nodes", settings.get("num_nodes"), nodes, default=1)
    _check("devices", settings.get("devices"), local, default="auto")
    devices = settings.get("devices")
    return {"num_nodes": nodes, **({"devices": local} if devices in (None, "auto") else {})}


def _check(name: str, value: Any, actual: int, *, default: Any) -> None:
    """Refuses a number that differs from torchrun's. For a list of devices, its length is compared."""
    number: Any = len(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    if isinstance(number, str) and number.isdecimal():
        number = int(number)
    if isinstance(number, int) and number not in (-1, actual) and value != default:
        flag = {"num_nodes": "--nnodes", "devices": "--nproc-per-node"}[name]
        raise UserError(f"trainer.{name} is {value}, but torchrun was started with {flag} {actual}: leave it out")
