"""The port on which the processes of a run meet."""

import os
import random
import socket
from pathlib import Path
from typing import Any

FIRST = 10_000
"""Lower ports belong to services that are known by their number."""


def free_port() -> int:
    """A random port that no program listens on, and that the system gives to no connection of itself.

    Raises:
        OSError: a hundred ports were tried, and each was taken.
    """
    system = Path("/proc/sys/net/ipv4/ip_local_port_range")
    choose = random.SystemRandom()  # the run's seed stays as it is
    end = int(system.read_text().split()[0]) if system.exists() else 32_768
    if end <= FIRST:
        end = 65_536
    error = OSError("no free port")
    for _ in range(100):
        port = choose.randrange(FIRST, end)
        with socket.socket() as candidate:
            try:
                candidate.bind(("", port))
            except OSError as taken:
                error = taken
            else:
                return port
    raise error


def settle_port(environment: Any) -> None:
    """Chooses the port of a run that Lightning starts on this machine, unless `MASTER_PORT` names one.

    Lightning's own choice is a port that the system may give to another program before the run listens on it: two runs
    that start at once would fail now and then ("address already in use").

    Args:
        environment: Lightning's cluster environment of the run. Other launchers' environments are left as they are.
    """
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment

    if not isinstance(environment, LightningEnvironment) or "MASTER_PORT" in os.environ:
        return
    os.environ["MASTER_PORT"] = str(free_port())
    try:
        _ = environment.main_port  # it reads the variable once, and keeps the number
    finally:
        del os.environ["MASTER_PORT"]
