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
from packaging.utils import canonicalize_name

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
    undeclared = {
        n: p for n, p in imported("lit_models", "datamodules").items() if n not in declared("export", "hub", "keras")
    }
    backends = {"tensorflow": "proof.py", "jax": "proof.py"}  # of Keras: the user has chosen one
    assert undeclared == backends


def test_every_core_dependency_is_used() -> None:
    # Nothing of ours imports tensorboard: torch does, when Lightning's logger of that name writes. lightning requires
    # pytorch-lightning without a version, so its bad versions are excluded here.
    assert declared() - set(imported("lit_models", "datamodules")) <= {"tensorboard", "pytorch_lightning"}


def test_the_wheels_packages_are_the_programs() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["lit_models", "datamodules"]
    assert wheel["force-include"] == {"configs": "lit_models/configs"}


def test_bounds_shut_out_what_is_known_to_be_bad() -> None:
    bounds = {r.name: r.specifier for r in map(Requirement, PROJECT["project"]["dependencies"])}
    for name in ("lightning", "pytorch-lightning"):
        assert not any(v in bounds[name] for v in ("2.6.2", "2.6.3", "2.6.5"))
    assert "12.1.0" not in bounds["pillow"]
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


LOCKED = (ROOT / "requirements" / "locked.txt").read_text()
Marker = dict[str, str]


def locked(environment: Marker) -> dict[str, str]:
    """Version of each locked package that is installed in an environment."""
    lines = re.findall(r"^(\S.*?) \\$", LOCKED, re.MULTILINE)
    found = [r for r in map(Requirement, lines) if r.marker is None or r.marker.evaluate(environment)]
    return {r.name: str(r.specifier).removeprefix("==") for r in found}


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_locked_versions_are_ones_that_the_project_allows(python: str) -> None:
    linux = {"python_version": python, "python_full_version": f"{python}.5", "implementation_name": "cpython"}
    linux |= {"sys_platform": "linux", "platform_machine": "x86_64", "platform_python_implementation": "CPython"}
    versions, extras = locked(linux), PROJECT["project"]["optional-dependencies"]
    wanted = [
        *PROJECT["project"]["dependencies"],
        *(text for e in ("test", "hub", "parity", "keras") for text in extras[e]),
    ]
    for requirement in map(Requirement, wanted):
        if requirement.name != "lit-models" and (requirement.marker is None or requirement.marker.evaluate(linux)):
            assert versions[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_every_locked_package_has_a_version_and_hashes_and_no_place() -> None:
    packages = re.split(r"\n(?=\S)", LOCKED.strip())
    assert len(packages) > 100
    for package in packages:
        first, *hashes = package.split("\n")
        assert re.match(r"[a-z0-9.\[\]-]+==[\w.+]+( ;.*)? \\$", first), first
        assert hashes
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes), first
    assert len(LOCKED) < 1_000_000


@pytest.mark.slow
def test_the_wheel_runs_from_an_empty_folder(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    built = tmp_path / "built"
    build = [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(ROOT)]
    subprocess.run(build, check=True, timeout=300, cwd=tmp_path)
    (wheel,) = built.glob("lit_models-*.whl")

    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    configs = {
        f"lit_models/configs/{p.relative_to(ROOT / 'configs').as_posix()}" for p in (ROOT / "configs").rglob("*.*")
    }
    sources = {
        p.relative_to(ROOT).as_posix()
        for folder in ("lit_models", "datamodules")
        for p in (ROOT / folder).rglob("*.py")
    }
    templates = {p.relative_to(ROOT).as_posix() for p in (ROOT / "lit_models").glob("*/templates/*")}
    assert configs
    assert templates
    assert shipped == configs | sources | templates | {"lit_models/py.typed", "datamodules/py.typed"}

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
        assert Path(config).suffix == ".json" or Path(config).stem in listed
    where = "from lit_models.cli import configs; print(configs.find_config('xor_mlp'))"
    assert Path(run("-c", where).strip()) == installed / "lit_models" / "configs" / "xor_mlp.yaml"
    assert run("-m", "lit_models", "--version") == f"lit-models {PROJECT['project']['version']}\n"
    assert run("-c", "from lit_models.cli.metadata import requirements; print(len(requirements()))").strip() == str(
        len(PROJECT["project"]["dependencies"])
    )
    assert not list(empty.iterdir()), "nothing is left behind"
