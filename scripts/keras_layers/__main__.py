"""Compares each layer and each example with live Keras. Writes docs/keras.json and docs/keras.md.

    python -m scripts.keras_layers          measures everything, and writes both files; about two minutes
    python -m scripts.keras_layers --page   only the page, from docs/keras.json

Run it in the repository's root. It needs Keras with TensorFlow. The layers and their settings are those of
`tests/keras/layers/cases.py`, and the examples are those of `tests/keras/examples.py`.
"""

import argparse
import json
import os

from scripts.keras_layers.page import page
from scripts.processes import ROOT

RESULTS = ROOT / "docs" / "keras.json"
PAGE = RESULTS.with_suffix(".md")


def main() -> None:
    """Reads the flags, measures, and writes the page."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.keras_layers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", action="store_true", help="only write the page, from the stored results")
    flags = parser.parse_args()
    if not flags.page:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        from scripts.keras_layers.measures import measured

        RESULTS.write_text(json.dumps(measured(), indent=1) + "\n", encoding="utf-8")
    elif not RESULTS.is_file():
        parser.error(f"--page needs results, but there is no file {RESULTS}")
    PAGE.write_text(page(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
