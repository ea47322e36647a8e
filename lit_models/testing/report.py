"""How checks run: one after the other, each with the same random numbers, until one fails."""

import pickle
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch

Subject = TypeVar("Subject")


class ContractError(AssertionError):
    """A class does not keep the contract. The message names the class, the check, what is wrong and what to do.

    Args:
        message: the text described above.
        check: name of the check that failed.
    """

    def __init__(self, message: str, *, check: str = "") -> None:
        super().__init__(message)
        self.check = check


class SkipCheckError(Exception):
    """Raised by a check that does not apply to the class; the message says why."""


@dataclass
class Report:
    """What was checked.

    Args:
        name: name of the class.
        passed: the checks that ran, as "check [part]", where the part is a kind of data or a split.
        skipped: the checks that do not apply, each with the reason.
    """

    name: str
    passed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.name}: {len(self.passed)} checks passed, {len(self.skipped)} do not apply"]
        lines += [f"  passed   {check}" for check in self.passed]
        lines += [f"  skipped  {check}: {reason}" for check, reason in self.skipped.items()]
        return "\n".join(lines)

    def run(self, checks: Sequence[Callable[[Subject], None]], subject: Subject, *, part: str | None = None) -> None:
        """Runs checks on one subject.

        Raises:
            ContractError: a check failed, or the class raised an exception in it.
        """
        for check in checks:
            title = f"{check.__name__} [{part}]" if part else check.__name__
            try:
                with same_conditions():
                    check(subject)
            except SkipCheckError as reason:
                self.skipped[title] = str(reason)
            except ContractError as error:
                raise ContractError(f"{self.name}: {title}: {error}", check=check.__name__) from None
            except Exception as error:
                message = f"{self.name}: {title}: {type(error).__name__}: {error}"
                raise ContractError(message, check=check.__name__) from error
            else:
                self.passed.append(title)


@contextmanager
def same_conditions() -> Iterator[None]:
    """Seeds torch's generator, restores it afterwards, and hides Lightning's warnings, which are about real runs."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        torch.default_generator.manual_seed(0)
        yield


def generator_states(*, with_torch: bool = True) -> bytes:
    """The states of the global generators of random numbers: Python's, numpy's and torch's."""
    of_torch = torch.get_rng_state().tolist() if with_torch else None
    return pickle.dumps((random.getstate(), np.random.get_state(), of_torch))
