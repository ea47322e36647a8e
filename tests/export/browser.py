"""A headless Chromium that opens an exported page and returns what the page computes."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next((path for name in NAMES if (path := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(PROGRAM is None, reason=f"no browser: none of {', '.join(NAMES)} is installed")


def opened(page: Path, fragment: str, folder: Path) -> str:
    """The page's HTML after its scripts have run, without a network.

    Args:
        page: the file.
        fragment: the part of the address after `#`.
        folder: where the browser keeps its profile.
    """
    assert PROGRAM is not None, "tests without a browser are skipped"
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--proxy-server=127.0.0.1:9", f"--user-data-dir={folder}")
    done = subprocess.run(
        [PROGRAM, *options, "--dump-dom", f"{page.as_uri()}#{fragment}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def results(html: str) -> Any:
    """What the page has written for the test."""
    found = re.search(r'<pre id="results"[^>]*>(.*?)</pre>', html, re.DOTALL)
    assert found, html[:300]
    return json.loads(unescape(found[1]))
