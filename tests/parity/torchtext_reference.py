"""What the real torchtext 0.18 makes of texts. Runs in `.venv-torchtext` (see the Makefile), never in our environment.

`python torchtext_reference.py FILE` reads the "request" in the JSON file FILE and writes its "answer" beside it:

- tokens: those of each of the request's texts, as `get_tokenizer("basic_english")` splits them;
- vocabularies: for each of the request's, made by `build_vocab_from_iterator` with its `settings` from the first
  `num_texts` texts, the words by id, the default index (the id of its word `default`) and the ids of each text;
- saved: base64 of the files that torch and pickle write of the first of them and of its words.
"""

import base64
import io
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
import torchtext  # type: ignore[import-not-found]

torchtext.disable_torchtext_deprecation_warning()

from torchtext.data.utils import get_tokenizer  # type: ignore[import-not-found]  # noqa: E402
from torchtext.vocab import build_vocab_from_iterator  # type: ignore[import-not-found]  # noqa: E402


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request, in plain values."""
    split = get_tokenizer("basic_english")
    tokens = [split(text) for text in request["texts"]]
    made = []
    for wanted in request["vocabularies"]:
        vocab = build_vocab_from_iterator(tokens[: wanted["num_texts"]], **wanted["settings"])
        vocab.set_default_index(vocab[wanted["default"]])
        made.append(vocab)
    vocabularies = [
        {"words": vocab.get_itos(), "default_index": vocab.get_default_index(), "ids": [vocab(t) for t in tokens]}
        for vocab in made
    ]
    found = {"torchtext": torchtext.__version__.partition("+")[0], "tokens": tokens, "vocabularies": vocabularies}
    return found | ({"saved": saved(made[0])} if request["save"] else {})


def saved(vocab: Any) -> dict[str, str]:
    """A vocabulary in each way in which it is saved, by file name."""
    return {
        "vocab.pt": written(lambda file: torch.save(vocab, file)),
        "old.pth": written(lambda file: torch.save(vocab, file, _use_new_zipfile_serialization=False)),
        "vocab.pkl": written(lambda file: pickle.dump(vocab, file)),
        "inner.pt": written(lambda file: torch.save(vocab.vocab, file)),
        "words.pt": written(lambda file: torch.save(vocab.get_itos(), file)),
        "ids.pt": written(lambda file: torch.save(dict(sorted(vocab.get_stoi().items())), file)),
        "scripted.pt": written(lambda file: torch.jit.save(torch.jit.script(vocab), file)),
    }


def written(save: Callable[[IO[bytes]], None]) -> str:
    """Base64 of what `save` writes."""
    file = io.BytesIO()
    save(file)
    return base64.b64encode(file.getvalue()).decode("ascii")


def main(path: Path) -> None:
    """Answers the request in `path`, with the answer beside it: an item a line, as a person can compare them."""
    content = json.loads(path.read_text(encoding="utf-8"))
    items = [f'  "{name}": {json.dumps(value)}' for name, value in answer(content["request"]).items()]
    content["answer"] = None
    text = json.dumps(content, indent=2).removesuffix("null\n}") + "{\n" + ",\n".join(items) + "\n  }\n}\n"
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
