"""`doctor` judges what it is shown: each fault that keeps a run from working, and only those, gives exit status 1."""

import io
import os
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lit_models.cli.commands import doctor
from lit_models.cli.commands.doctor import Finding


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine where all is well, whatever this one is: no GPU, no data, folders that can be written to."""
    monkeypatch.setattr(doctor, "packages", lambda: iter([Finding("torch", "2.15.0", True)]))
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(doctor, "LEAST_DISK", 1)
    monkeypatch.setattr(doctor, "data_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(doctor, "default_data_dir", lambda: tmp_path / "data")
    monkeypatch.delenv("LIT_MODELS_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_well_is_status_0(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "ready"
    assert not (ready / "cache").exists(), "doctor looks, and makes nothing"
    for name in (
        "python",
        "system",
        "cores",
        "memory",
        "torch",
        "gpu",
        "current folder",
        "data cache",
        "MNIST",
        "IMDB",
    ):
        assert any(line[2:].startswith(name) for line in lines), name


def test_a_fault_is_status_1_and_named_in_the_last_line(
    ready: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "packages", lambda: iter([Finding("torch", "not installed", False)]))
    assert doctor.main([]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "not ready: torch"
    assert "✗ torch" in out


def test_marks_are_plain_where_the_screen_has_no_others(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", screen)
    assert doctor.main([]) == 0
    assert [doctor.mark(good) for good in (True, False, None)] == ["+", "!", " "]


@pytest.mark.parametrize(
    ("requirement", "version", "text", "good"),
    [
        ("torch>=2.10", "2.15.0", "2.15.0", True),
        ("torch>=2.10", "2.11.0+cpu", "2.11.0+cpu", True),
        ("torch>=2.10", "2.16.0.dev20261101+cu130", "2.16.0.dev20261101+cu130", True),
        ("torch>=2.10", "2.9.1", "2.9.1, needs >=2.10", False),
        ("torch>=2.10", None, "not installed", False),
        ("torchvision", "0.29.2", "0.29.2", True),
        ("jsonargparse[signatures]>=4.39,<5", "5.0.0", "5.0.0, needs <5,>=4.39", False),
        ("lightning>=2.6.6", "2.6.5", "2.6.5, needs >=2.6.6", False),
    ],
)
def test_a_package_is_held_against_its_bounds(requirement: str, version: str | None, text: str, good: bool) -> None:
    found = doctor.judge(Requirement(requirement), version)
    assert (found.text, found.good) == (text, good)


@pytest.mark.parametrize("version", ["2.6.2", "2.6.3"])
def test_a_compromised_lightning_is_named_as_such(version: str) -> None:
    found = doctor.judge(Requirement("lightning>=2.6.6"), version)
    assert found.good is False
    assert found.text == f"{version} was compromised: remove it, and renew the passwords of this machine"


@pytest.mark.parametrize(
    ("torch", "torchvision", "needs", "fault"),
    [
        ("2.15.0", "0.29.2", ["numpy", "torch (>=2.14.0)"], None),
        ("2.15.0+cpu", "0.29.2+cpu", ["torch==2.15.0"], None),
        ("2.13.0+cpu", "0.28.0", ["torch==2.13.0"], "torch 2.13.0+cpu and torchvision 0.28.0 are different builds"),
        ("2.13.0+cu130", "0.28.0+cpu", ["torch==2.13.0"], "are different builds"),
        ("2.12.0", "0.28.0", ["torch==2.13.0"], "torchvision 0.28.0 is for torch ==2.13.0, here is 2.12.0"),
    ],
)
def test_torch_and_torchvision_must_be_a_pair(
    torch: str, torchvision: str, needs: list[str], fault: str | None
) -> None:
    found = doctor.judge_pair(torch, torchvision, needs)
    assert found.good is (fault is None)
    assert found.text == "torch and torchvision fit" if fault is None else fault in found.text


def test_this_environments_packages_are_judged_one_by_one() -> None:
    found = {finding.name: finding for finding in doctor.packages()}
    assert {"torch", "torchvision", "lightning", "jsonargparse", "torch pair"} <= set(found)
    assert all(finding.good for finding in found.values()), found


def test_a_folder_that_cannot_be_written_to_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    found = doctor.judge_folder("data cache", tmp_path / "not" / "yet")
    assert (found.good, found.text) == (False, f"{tmp_path / 'not' / 'yet'}: cannot be written to")


def test_a_file_in_the_place_of_a_folder_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    assert doctor.judge_folder("data cache", tmp_path / "cache" / "imdb").good is False


def test_a_full_disk_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 0.5e9})())
    found = doctor.judge_folder("data cache", tmp_path)
    assert (found.good, found.text) == (False, f"{tmp_path}: 0.5 GB free, needs 1 GB")


def test_gpus_are_listed_without_their_serial_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = "GPU 0: NVIDIA H200 (UUID: GPU-1)\nGPU 1: NVIDIA H200 (UUID: GPU-2)\n"
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr("subprocess.run", lambda *a, **k: subprocess.CompletedProcess(a, 0, answer, ""))
    monkeypatch.setattr(doctor, "installed", lambda name: "2.15.0+cpu")
    assert [f.text for f in doctor.gpus()] == [
        "GPU 0: NVIDIA H200",
        "GPU 1: NVIDIA H200",
        "torch is built for CPUs only, so no GPU will be used",
    ]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (subprocess.CompletedProcess([], 9, "", "no driver"), "none that the NVIDIA driver can use"),
        (subprocess.TimeoutExpired("nvidia-smi", 20), "nvidia-smi does not answer: "),
    ],
)
def test_a_gpu_that_does_not_answer_is_no_fault(monkeypatch: pytest.MonkeyPatch, answer: object, text: str) -> None:
    def smi(*arguments: object, **settings: object) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr("subprocess.run", smi)
    (found,) = doctor.gpus()
    assert found.good is None
    assert found.text.startswith(text)


def test_data_are_found_where_the_files_are(ready: Path) -> None:
    assert next(doctor.data()).text == f"{ready / 'data'}: not there yet"
    assert [f.good for f in doctor.data()] == [None] * 5
    raw = ready / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"")
    assert {f.name: f.good for f in doctor.data()}["MNIST"] is None, "half of it is not enough"
    (raw / "t10k-images-idx3-ubyte").write_bytes(b"")
    (ready / "data" / "aclImdb_v1.tar.gz").write_bytes(b"")
    assert {f.name for f in doctor.data() if f.good} == {"MNIST", "IMDB"}
    assert next(doctor.data()).text == str(ready / "data")
