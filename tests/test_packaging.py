"""What is declared and what is shipped: dependencies, files in the wheel, and the program run from it."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS = {"lit_models", "datamodules", "scripts", "tests"}
IMPORTED_AS = {"scikit-learn": "sklearn", "pyyaml": "yaml", "pillow": "pil"}


def declared(*extras: str) -> set[str]:
    """Names by which the declared dependencies are imported."""
    project = PROJECT["project"]
    texts = [*project["dependencies"], *(t for extra in extras for t in project["optional-dependencies"][extra])]
    names = {Requirement(text).name.lower() for text in texts}
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}


def imported(*folders: str) -> dict[str, str]:
    """Foreign top-level packages that the sources import, each with a file that does."""
    found: dict[str, str] = {}
    for path in (p for folder in folders for p in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {module.partition(".")[0]: path.name for module in modules}
    return {name.lower(): path for name, path in found.items() if name not in sys.stdlib_module_names | OURS}


def test_every_import_is_a_declared_dependency() -> None:
    undeclared = {n: p for n, p in imported("lit_models", "datamodules").items() if n not in declared("hub", "keras")}
    assert not undeclared


def test_every_core_dependency_is_used() -> None:
    # Nothing of ours imports tensorboard: torch does, when Lightning's logger of that name writes.
    assert declared() - set(imported("lit_models", "datamodules")) <= {"tensorboard"}


def test_the_wheels_packages_are_the_programs() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["lit_models", "datamodules"]
    assert wheel["force-include"] == {"configs": "lit_models/configs"}


def test_bounds_shut_out_what_is_known_to_be_bad() -> None:
    bounds = {r.name: r.specifier for r in map(Requirement, PROJECT["project"]["dependencies"])}
    assert not any(v in bounds["lightning"] for v in ("2.6.2", "2.6.3", "2.6.5"))
    assert "2.9.1" not in bounds["torch"]
    assert "5.0.0" not in bounds["jsonargparse"]
    assert not bounds["torchvision"], "a bound of its own can part torchvision from its torch"


def test_the_oldest_versions_job_reads_every_lower_bound() -> None:
    """The expression that the workflow uses, on the dependencies as they are written."""
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    (pattern,) = re.findall(r're\.match\(r"(.+?)", dependency\)', workflow)
    for dependency in PROJECT["project"]["dependencies"]:
        lower = [s.version for s in Requirement(dependency).specifier if s.operator == ">="]
        found = re.match(pattern, dependency)
        assert ([found[2]] if found else []) == lower
        assert found is None or found[1] == Requirement(dependency).name


@pytest.mark.slow
def test_the_wheel_runs_from_an_empty_folder(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    built = tmp_path / "built"
    build = [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(ROOT)]
    subprocess.run(build, check=True, timeout=300, cwd=tmp_path)
    (wheel,) = built.glob("lit_models-*.whl")

    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    configs = {
        f"lit_models/configs/{p.relative_to(ROOT / 'configs').as_posix()}" for p in (ROOT / "configs").rglob("*.yaml")
    }
    sources = {
        p.relative_to(ROOT).as_posix()
        for folder in ("lit_models", "datamodules")
        for p in (ROOT / folder).rglob("*.py")
    }
    assert configs
    assert shipped == configs | sources | {"lit_models/py.typed", "datamodules/py.typed"}

    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", "--target", str(installed), str(wheel)]
    subprocess.run(install, check=True, timeout=300, cwd=empty)

    def run(*arguments: str) -> str:
        environment = {"PYTHONPATH": str(installed), "PATH": "", "HOME": str(empty)}
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=empty, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = run("-m", "lit_models", "list")
    for config in configs:
        assert Path(config).stem in listed
    where = "from lit_models.cli import configs; print(configs.find_config('xor_mlp'))"
    assert Path(run("-c", where).strip()) == installed / "lit_models" / "configs" / "xor_mlp.yaml"
    assert run("-m", "lit_models", "--version") == f"lit-models {PROJECT['project']['version']}\n"
    assert run("-c", "from lit_models.cli.metadata import requirements; print(len(requirements()))").strip() == str(
        len(PROJECT["project"]["dependencies"])
    )
    assert not list(empty.iterdir()), "nothing is left behind"
