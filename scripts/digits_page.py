"""Takes the picture of an exported page, in which a digit is drawn. It needs Chromium.

python -m lit_models export --format html --ckpt_path runs/digits_cnn/version_0/checkpoints/best.ckpt
python -m scripts.digits_page runs/digits_cnn/version_0/digits.html docs/digits_page.png
"""

import argparse
import json
import math
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

from PIL import Image

WIDTH, HEIGHT = 820, 520
COLOURS = 64


def three() -> list[list[tuple[float, float]]]:
    """A 3 as one stroke of two arcs, in fractions of the paper."""
    arcs = [((0.5, 0.31), 0.17, -150, 90), ((0.5, 0.67), 0.19, -90, 150)]
    stroke = []
    for (x, y), radius, first, last in arcs:
        for degrees in range(first, last + 1, 6):
            angle = math.radians(degrees)
            stroke.append((round(x + radius * math.cos(angle), 3), round(y + radius * math.sin(angle), 3)))
    return [stroke]


def main() -> None:
    """Opens the page with the drawing in a headless browser, and saves what it shows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--browser", default="chromium", help="name of the program")
    arguments = parser.parse_args()
    if (browser := shutil.which(arguments.browser)) is None:
        raise SystemExit(f"no program {arguments.browser}: install it, or name another one with --browser")
    address = f"{arguments.page.resolve().as_uri()}#strokes={quote(json.dumps(three()))}"
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "page.png"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}"]
        options += [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}"]
        subprocess.run([browser, *options, address], check=True, capture_output=True)
        with Image.open(shot) as image:
            image.convert("RGB").quantize(COLOURS).save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
