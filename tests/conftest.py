"""Fixtures of all tests: a separate cache without access to the hub, and two tiny checkpoints."""

import gc
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.programs import Programs

os.environ["HF_HUB_OFFLINE"] = "1"  # huggingface_hub reads this when it is imported
os.environ["LIT_MODELS_REPORT"] = "none"  # a report takes a second or two; tests that look at one say `--report html`
# Keras uses one backend per process. Torch's kernels are ours too, so torch is the reference only without another one.
os.environ.setdefault("KERAS_BACKEND", next((name for name in ("tensorflow", "jax") if find_spec(name)), "torch"))
# Compiling the recurrent layers takes seconds. The name of the folder inside depends on their sources.
os.environ["NUMBA_CACHE_DIR"] = str(Path(__file__).parents[1] / ".pytest_cache" / "numba")

gc.disable()  # until the tests are collected: the imports create millions of objects that are never freed


def pytest_collection_finish() -> None:
    """Excludes the objects of the imports from garbage collection, as one pass over all of them takes 2 s."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """Lets the interpreter collect all objects at its end; libraries would report those that are left."""
    gc.unfreeze()


WORDS = (
    "the a an and or not is was it this that i you we they film movie review story actor scene plot good great best "
    "fine love loved like liked fun bad poor worst dull hate hated boring slow terrible awful very so too much more "
    "less of in on to for with at by from using transformers"
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gives each test and its subprocesses a separate data cache and state folder; the hub stays offline."""
    monkeypatch.setenv("LIT_MODELS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LIT_MODELS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("LIT_MODELS_OFFLINE", "LIT_MODELS_MAX_GB"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def programs() -> Iterator[Programs]:
    """Runs programs in separate processes that have already imported torch."""
    programs = Programs()
    yield programs
    programs.close()


@pytest.fixture(scope="session")
def bert_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of two classes, 16 wide, with random weights, and its WordPiece tokenizer of some 80
    words."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split(), "!", ".", ",", "##s", "##ing"]
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(vocabulary)}, model_max_length=64)
    tokenizer.save_pretrained(folder)
    config = BertConfig(  # type: ignore[call-arg]
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        num_labels=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def gpt2_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a GPT-2 of two classes, 16 wide, with random weights, and its byte-level tokenizer, which has no
    padding token."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2TokenizerFast  # type: ignore[attr-defined]

    folder = tmp_path_factory.mktemp("gpt2")
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    end = "<|endoftext|>"
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=[end], initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator([WORDS] * 3, trainer)
    tokenizer = GPT2TokenizerFast(
        tokenizer_object=backend, eos_token=end, bos_token=end, unk_token=end, model_max_length=64
    )
    tokenizer.save_pretrained(folder)
    config = GPT2Config(  # type: ignore[call-arg]
        vocab_size=len(tokenizer),
        n_embd=16,
        n_layer=2,
        n_head=2,
        n_positions=64,
        num_labels=2,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        GPT2ForSequenceClassification(config).save_pretrained(folder)
    return folder
