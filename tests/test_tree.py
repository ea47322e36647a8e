"""The rules of the house, as far as a program can look after them."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from lit_models import MODELS

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    p for folder in ("lit_models", "datamodules", "scripts", "tests") for p in (ROOT / folder).rglob("*.py")
)
ARCHITECTURES = [ROOT / f"{module.replace('.', '/')}.py" for module in MODELS.values()]
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc"}
LONGEST_NETWORK, LONGEST_FILE = 110, 150
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(source: str) -> list[tuple[str, str]]:
    """Every imported name as (module, name), at whatever depth it is imported; the name is "" for `import module`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [("." * node.level + (node.module or ""), alias.name) for alias in node.names]
    return found


def dotted(source: str) -> set[str]:
    """Every imported module, with the name after it where that may be a module too."""
    return {f"{module}.{name}".rstrip(".") for module, name in imports(source)}


def leads_to(source: str, *packages: str) -> list[str]:
    return sorted(d for d in dotted(source) if any(f"{d}.".startswith(f"{p}.") for p in packages))


def test_the_rules_see_an_import_in_each_form() -> None:
    source = "import lit_models.cli\nfrom lit_models import runs\ndef f():\n    from lit_models.export.onnx import x\n"
    assert leads_to(source, "lit_models.cli", "lit_models.runs", "lit_models.export") == [
        "lit_models.cli",
        "lit_models.export.onnx.x",
        "lit_models.runs",
    ]
    assert leads_to("import lit_models_other\nfrom lit_models.client import x", "lit_models.cli") == []


@pytest.mark.parametrize("path", sorted((ROOT / "datamodules").rglob("*.py")), ids=name)
def test_data_know_nothing_of_models(path: Path) -> None:
    assert not leads_to(path.read_text(), "lit_models")


@pytest.mark.parametrize("path", ARCHITECTURES, ids=name)
def test_an_architecture_knows_nothing_of_the_program_around_it(path: Path) -> None:
    around = ["cli", "runs", "export", "testing", "__main__"]
    imported = leads_to(path.read_text(), "datamodules", *(f"lit_models.{part}" for part in around))
    assert not [name for name in imported if not name.startswith("datamodules.errors.")]


@pytest.mark.parametrize("below", [["kernels"], ["keras", "kernels"]], ids="/".join)
def test_leaves_import_nothing_of_the_house(below: list[str]) -> None:
    for path in (ROOT / "lit_models" / below[0]).rglob("*.py"):
        imported = leads_to(path.read_text(), "lit_models", "datamodules")
        allowed = (*(f"lit_models.{folder}." for folder in below), "datamodules.errors.")
        assert not [name for name in imported if not f"{name}.".startswith(allowed)], path


@pytest.mark.parametrize("folder", ["keras", "kernels", "export", "runs", "testing", "tasks", "report", "startup"])
def test_nothing_below_the_command_line_imports_it(folder: str) -> None:
    paths = list((ROOT / "lit_models" / folder).rglob("*.py"))
    assert paths
    for path in paths:
        assert not leads_to(path.read_text(), "lit_models.cli", "lit_models.__main__"), path


def test_packages_import_by_whole_names() -> None:
    """The rules above look at whole names, so that a relative import would slip through them."""
    packaged = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in ("lit_models", "datamodules")]
    relative = [
        (name(path), module) for path in packaged for module, _ in imports(path.read_text()) if module[0] == "."
    ]
    assert packaged
    assert not relative


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_nothing_imports_a_private_name_of_another_folder(path: Path) -> None:
    own = ".".join(path.relative_to(ROOT).parent.parts)
    ours = [(m, n) for m, n in imports(path.read_text()) if m.split(".")[0] in ("lit_models", "datamodules")]
    private = [f"{m}.{n}" for m, n in ours if re.match(r"_[^_]", n) and m.rpartition(".")[0] != own]
    assert not private


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_file_has_a_name_and_a_first_line_that_say_why_it_is_there(path: Path) -> None:
    assert path.stem not in NAMELESS
    assert path.stat().st_size == 0 or ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", ARCHITECTURES, ids=name)
def test_an_architecture_fits_on_a_screen(path: Path) -> None:
    """Counted to the end of its networks: the thin Lit class stands under them."""
    classes = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.ClassDef)]
    networks = [c for c in classes if not c.name.startswith("Lit")]
    assert networks, "a pure nn.Module stands on top"
    assert max(c.end_lineno or 0 for c in networks) <= LONGEST_NETWORK
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_a_config_begins_with_what_it_claims(path: Path) -> None:
    first = path.read_text().partition("\n")[0]
    assert re.fullmatch(r"# \S.{9,}", first), "the first line of a config is a comment that says what it is"


def test_there_are_configs() -> None:
    assert len(CONFIGS) >= 3


def test_nothing_names_a_package_host_or_this_machine() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode:
        pytest.skip("no git checkout here")
    host = re.compile(r"https?://[^ \"]*/(simple|packages)/|index-" + "url")
    for path in (ROOT / line for line in tracked.stdout.split("\0") if line):
        text = path.read_text(errors="replace") if path.is_file() else ""
        assert not host.search(text), path
        assert f"{ROOT.parent.as_posix()}/" not in text or ROOT.parent == Path("/"), path
