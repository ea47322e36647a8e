"""docs/porting.md: its tables are the results, its code runs, and its links lead to sections and code that exist."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from scripts.porting.__main__ import RESULTS as RESULTS_FILE
from scripts.porting.measures import FUNCTIONS
from scripts.porting.page import BLOCK, TABLES, write_page
from scripts.porting.runs import MEASURES, read
from scripts.porting.summary import DIFFERENCES, Difference, from_keras
from scripts.porting.tables import differences, mean, numbers

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "porting.md").read_text()
RESULTS = read(RESULTS_FILE)
PRELUDE, *BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A copy of the page."""
    copy = tmp_path / "porting.md"
    copy.write_text(TEXT)
    return copy


class TestTables:
    def test_the_page_is_what_its_results_give(self, page: Path) -> None:
        page.write_text(BLOCK.sub(r"\1removed\n\3", TEXT))
        assert write_page(RESULTS, page).read_text() == TEXT
        assert "removed" not in page.read_text()

    def test_another_number_changes_the_page(self, page: Path) -> None:
        changed = json.loads(json.dumps(RESULTS))
        for run in changed["mnist"].values():
            run["import"]["flatten"] += 0.1
        assert f"{mean(RESULTS, 'mnist/import/flatten') + 0.1:.4f}" in write_page(changed, page).read_text()

    def test_a_marker_without_a_table_is_named(self, page: Path) -> None:
        page.write_text(TEXT.replace("table: xor", "table: nor"))
        message = rf"^unknown table 'nor' in {re.escape(str(page))}; choose from summary, import_cnn, .*, machine$"
        with pytest.raises(ValueError, match=message):
            write_page(RESULTS, page)

    def test_a_table_without_a_marker_is_named(self, page: Path) -> None:
        page.write_text(re.sub(r"<!-- table: xor -->\n.*?<!-- end of table -->", "", TEXT, flags=re.DOTALL))
        message = rf"^no marker for table 'xor' in {re.escape(str(page))}; add <!-- table: xor -->$"
        with pytest.raises(ValueError, match=message):
            write_page(RESULTS, page)

    @pytest.mark.parametrize("name", TABLES)
    def test_a_table_only_uses_results_that_exist(self, name: str) -> None:
        assert TABLES[name](RESULTS)

    def test_differences_are_between_runs_with_the_same_seed(self) -> None:
        results = {"a": {"0": {"x": 1.0}, "2": {"x": 5.0}}, "b": {"0": {"x": 0.5}, "1": {"x": 0.0}, "2": {"x": 1.0}}}
        assert differences(results, "a/x", "b/x") == [0.5, 4.0]
        assert differences(results, "b/x", "a/x") == [-0.5, -4.0]

    @pytest.mark.parametrize(("wrong", "shown"), [(0.8, "→ 0.8000"), (0.86, "→ 0.8600 (within chance)")])
    def test_a_cost_within_chance_is_marked(self, wrong: float, shown: str) -> None:
        """Changed initial weights turn 0.9 into 0.85. A difference of 0.04 is within that, one of 0.1 is not."""
        runs = {"keras": {"test": 0.9}, "other": {"test": wrong}}
        results = {"simple": {"0": runs}, "nudged": {"0": {"simple": {"test": 0.85}}}}
        assert from_keras("simple", "other")(results) == f"IMDB test accuracy 0.9000 {shown}"


class TestText:
    @pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda d: d.title)
    def test_a_difference_links_to_its_section_and_to_code_that_exists(self, difference: Difference) -> None:
        assert f"\n### {difference.title}\n" in TEXT
        anchor = re.sub(r"[^\w -]", "", difference.title).lower().replace(" ", "-")  # as Markdown makes it
        assert f"[{difference.title}](#{anchor})" in TEXT
        assert difference.name in (ROOT / difference.file).read_text()
        assert f"](../{difference.file}), `{difference.name}` |" in TEXT

    def test_every_section_has_a_row_in_the_first_table(self) -> None:
        assert re.findall(r"^### (.+)$", TEXT, flags=re.MULTILINE) == [d.title for d in DIFFERENCES]

    @pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
    def test_its_code_runs(self, block: str) -> None:
        exec(PRELUDE + block, {})  # with only the imports that the page names


class TestResults:
    def test_keras_and_the_correct_import_agree(self) -> None:
        """Probabilities in float32, over up to 200 time steps. The project promises 1e-5."""
        for measure in ("mnist", "simple", "gates"):
            assert max(numbers(RESULTS, f"{measure}/import/keras/largest_difference")) < 1e-5
            gaps = np.subtract(
                numbers(RESULTS, f"{measure}/import/keras/acc"), numbers(RESULTS, f"{measure}/import/right")
            )
            assert np.abs(gaps).max() < 1e-3  # 1e-5 of a probability can change the class of one or two samples

    def test_every_measurement_has_three_seeds(self) -> None:
        assert set(RESULTS) == set(FUNCTIONS) == set(MEASURES)
        assert all(set(by_seed) == {"0", "1", "2"} for by_seed in RESULTS.values())
