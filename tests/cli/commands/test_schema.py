"""`schema`: a file that the editor reads, and nothing of the user's is replaced."""

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_the_schema_goes_to_standard_output_or_a_file(run: Run) -> None:
    status, out, err = run("schema")
    assert (status, err) == (0, "")
    assert json.loads(out)["title"] == "A config of lit-models"
    for _ in range(2):  # the second time, it replaces its own file
        _, said, _ = run("schema", "--output", "schema.json")
        assert said.startswith("schema in schema.json; ")
        assert Path("schema.json").read_text(encoding="utf-8") == out


def test_another_file_is_not_replaced(run: Run) -> None:
    for text in ("{}", "[]", "no json"):
        Path("mine.json").write_text(text)
        problem = "mine.json exists, and is not a schema of this program: name another --output"
        assert run("schema", "--output", "mine.json") == (2, "", f"error: {problem}\n")
        assert Path("mine.json").read_text() == text


def test_a_wrong_flag_or_folder_is_one_line(run: Run) -> None:
    assert run("schema", "--out", "x")[::2] == (2, "error: unknown flag --out, did you mean --output?\n")
    assert run("schema", "--output", "no/x.json")[::2] == (2, "error: no/x.json: No such file or directory\n")
