"""Small files that ask for much memory or time are refused in one line, soon, and with little memory."""

import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datamodules.errors import UserError
from datamodules.storage.npz import read_npz
from datamodules.storage.table_files import read_rows
from datamodules.words.reviews import read_reviews
from datamodules.words.vocab_files import read_vocab
from tests.datamodules import bombs

READERS: dict[str, Callable[[Path], object]] = {
    ".npz": read_npz,
    ".gz": read_reviews,
    ".parquet": lambda path: list(read_rows(path, ["text", "label"])),
}
MOST_MEGABYTES, MOST_SECONDS = 150, 10.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured by Linux' /proc")


def status(name: str) -> int:
    """A size of this process, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(f"{name}:"))


@pytest.fixture
def limited() -> Iterator[None]:
    """Makes a reader that takes gigabytes fail, and not the machine."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, ((status("VmSize") + 3000) * 2**20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("kind", ["pickles", "npzs", "archives", "parquets"])
def test_small_files_do_not_fill_the_memory(kind: str, tmp_path: Path) -> None:
    for path in getattr(bombs, f"write_{kind}")(tmp_path):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, start = status("VmHWM"), time.perf_counter()
        with pytest.raises(UserError) as caught:
            READERS.get(path.suffix, read_vocab)(path)
        seconds, megabytes = time.perf_counter() - start, status("VmHWM") - before
        message = str(caught.value)
        print(f"{path.name}: {path.stat().st_size:,} bytes, {seconds:.2f} s, {megabytes} MiB: {message}")
        assert message.startswith(str(path))
        assert "\n" not in message
        assert seconds < MOST_SECONDS
        assert megabytes < MOST_MEGABYTES
