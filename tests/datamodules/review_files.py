"""Film reviews as they are published, in miniature: an archive and a folder."""

import io
import tarfile
from pathlib import Path

REVIEWS = {
    "train/neg/0_1.txt": "Bad, bad film!<br />The worst.",
    "train/neg/10_2.txt": "the plot is bad",
    "train/neg/2_3.txt": "boring",
    "train/pos/0_9.txt": "Good film; the best",
    "train/pos/1_8.txt": "a good, good plot",
    "test/neg/0_2.txt": "a bad unheard plot",
    "test/pos/0_10.txt": "GOOD film",
    "test/pos/1_7.txt": "never seen",
}


def make_archive(path: Path, reviews: dict[str, str] = REVIEWS) -> Path:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, text in [("imdb.vocab", "x"), ("train/unsup/0_0.txt", "x"), *reversed(reviews.items())]:
            content = text.encode()
            member = tarfile.TarInfo(f"aclImdb/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def make_folder(path: Path) -> Path:
    for name, text in REVIEWS.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path
