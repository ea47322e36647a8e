"""How checks run and what a report says."""

import random

import pytest
import torch

from lit_models.testing import ContractError, Report
from lit_models.testing.report import SkipCheckError


def passes(subject: list[float]) -> None:
    subject.append(torch.rand(()).item())


def does_not_apply(subject: list[float]) -> None:
    raise SkipCheckError("there is no sound")


def fails(subject: list[float]) -> None:
    raise ContractError("the sound is too loud: turn it down")


def breaks(subject: list[float]) -> None:
    raise KeyError("sound")


def test_a_report_lists_what_passed_and_what_does_not_apply() -> None:
    report = Report("Sounds")
    report.run([passes, does_not_apply], [])
    report.run([passes], [], part="train")
    assert str(report).splitlines() == [
        "Sounds: 2 checks passed, 1 do not apply",
        "  passed   passes",
        "  passed   passes [train]",
        "  skipped  does_not_apply: there is no sound",
    ]


def test_the_first_failure_names_class_check_and_part() -> None:
    report = Report("Sounds")
    with pytest.raises(ContractError) as caught:
        report.run([passes, fails, breaks], [], part="train")
    assert str(caught.value) == "Sounds: fails [train]: the sound is too loud: turn it down"
    assert caught.value.check == "fails"
    assert report.passed == ["passes [train]"]


def test_another_exception_is_a_failure_with_its_cause() -> None:
    with pytest.raises(ContractError) as caught:
        Report("Sounds").run([breaks], [])
    assert str(caught.value) == "Sounds: breaks: KeyError: 'sound'"
    assert isinstance(caught.value.__cause__, KeyError)


def test_checks_draw_the_same_numbers_and_leave_torchs_generator_as_it_was() -> None:
    draws: list[float] = []
    before = torch.get_rng_state(), random.getstate()
    Report("Sounds").run([passes, passes], draws)
    assert draws[0] == draws[1]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
