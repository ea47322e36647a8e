"""The encoder with 22 million parameters: fine-tuning, and inference."""

from scripts.benchmark.arithmetic import encoder_forward
from scripts.benchmark.cells import BOTH, OURS, Entry, Target, Workload
from scripts.benchmark.encoder import BATCH, LENGTH, MOST_TRAIN, PACKAGE, PREDICTED

FLAGS = {
    "model.checkpoint": "{encoder}",
    "data.max_length": LENGTH,
    "data.batch_size": BATCH,
}
TRAINING = {
    **FLAGS,
    "data.train_file": "{data}/train.csv",
    "data.test_file": "{data}/test.csv",
    "data.val_fraction": 0,
}
BEST = (OURS, "ours, bf16")
TRAINER = (PACKAGE, "accelerate")


def trainer(name: str, work: float, most: int = 1000, **arguments: object) -> Entry:
    """Hugging Face's Trainer with some arguments."""
    return Entry(name, "trainer", {"arguments": arguments}, start=9, work=work, most=most, packages=TRAINER)


WORKLOADS = [
    Workload(
        name="encoder-train",
        place=11,
        title="The encoder: fine-tuning",
        text=(
            f"{MOST_TRAIN} reviews of at most {LENGTH} tokens in batches of {BATCH}, AdamW, two epochs, of which the "
            "second is measured. The accuracy is that of 128 other reviews; it is within 0.09 by chance alone."
        ),
        entries=(
            Entry(OURS, "ours", {}, start=9, work=20, command=True, packages=(PACKAGE,)),
            Entry("ours, bf16", "ours", {"precision": "bf16"}, start=9, work=13, command=True, packages=(PACKAGE,)),
            trainer("trainer", 22),
            trainer("trainer, grouped by length", 22, most=3, train_sampling_strategy="group_by_length"),
            trainer("trainer, bf16, grouped", 15, bf16=True, train_sampling_strategy="group_by_length"),
            Entry(
                "trainer, compiled",
                "trainer",
                {"arguments": {"torch_compile": True, "bf16": True}},
                start=60,
                work=20,
                optional=True,
                packages=TRAINER,
            ),
        ),
        targets=(
            Target("3 times the tokens of Trainer's default", "faster", 3, ("trainer",), of=BEST),
            Target(
                "1.5 times the tokens of Trainer at its best settings",
                "faster",
                1.5,
                ("trainer", "trainer, grouped by length", "trainer, bf16, grouped", "trainer, compiled"),
                of=BEST,
            ),
        ),
        settings={
            "config": "text_bert",
            "epochs": 2,
            "flags": TRAINING,
            "part": "train",
            "texts": MOST_TRAIN,
        },
        short={"texts": 32, "batches": 2, "test_batches": 2},
        short_share=0.25,
        needs="imdb",
        prepares=("reviews",),
        flops=3 * encoder_forward(MOST_TRAIN * LENGTH, LENGTH),
        training_epochs=2,
        devices=BOTH,
    ),
    Workload(
        name="encoder-predict",
        place=12,
        title="The encoder: inference",
        text=f"{PREDICTED} reviews of at most {LENGTH} tokens. Seconds of the batches, without reading and tokenizing.",
        entries=(
            Entry(
                OURS, "ours", {"command": "predict", "clock": True}, start=8, work=9, command=True, packages=(PACKAGE,)
            ),
            Entry(
                "ours, bf16",
                "ours",
                {"command": "predict", "clock": True, "precision": "bf16"},
                start=8,
                work=5,
                command=True,
                packages=(PACKAGE,),
            ),
            Entry("eager", "eager_encoder", start=7, work=9, packages=(PACKAGE,)),
            Entry("eager, bf16", "eager_encoder", {"precision": "bf16"}, start=7, work=5, packages=(PACKAGE,), most=3),
            Entry("onnx-runtime", "onnx_runtime", start=12, work=9, packages=(PACKAGE, "onnx", "onnxruntime")),
        ),
        targets=(
            Target("2.5 times as fast as PyTorch eager, float32", "faster", 2.5, ("eager",), "batches", of=BEST),
            Target("as fast as ONNX Runtime", "faster", 1, ("onnx-runtime",), "batches", of=BEST),
        ),
        settings={
            "config": "text_bert",
            "flags": {**FLAGS, "data.batch_size": 32, "data.inputs": "{data}/predict.csv"},
            "batch_size": 32,
            "part": "predict",
            "texts": PREDICTED,
        },
        short={"texts": 128, "flags": {**FLAGS, "data.batch_size": 32, "data.inputs": "{data}/predict_short.csv"}},
        short_share=0.25,
        needs="imdb",
        prepares=("reviews",),
        figure="batches",
        unit="seconds",
        flops=encoder_forward(PREDICTED * LENGTH, LENGTH),
        devices=BOTH,
    ),
]
