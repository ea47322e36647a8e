"""The CNN on MNIST, in float32 and in bfloat16."""

from scripts.benchmark.arithmetic import cnn_epoch
from scripts.benchmark.cells import BOTH, Entry, Target, Workload
from scripts.benchmark.entries import KERAS, keras, lightnings_share, our_loop, ours

SETTINGS = {"config": "mnist_cnn", "batch_size": 64, "epochs": 2}
SHORT = {"batches": 100, "test_batches": 10}
LOOPS = ("torch-loop", "torch-loop-tuned")

WORKLOADS = [
    Workload(
        name="cnn",
        place=1,
        title="MNIST: the CNN, float32",
        text="93,322 parameters, 60,000 images, batches of 64, Adam, no validation part. The accuracy is of the test.",
        entries=(
            *ours(work=34, plain_work=47),
            *keras("cnn", {"tensorflow": 35, "jax": 95, "torch": 55}, {"jax": 2, "torch": 2}, all_backends=True),
            Entry("torch-loop", "torch_loop", {}, start=3, work=47, most=2),
            Entry("torch-loop-tuned", "torch_loop", {"tuned": True}, start=3, work=25),
            our_loop("cnn", work=14),
        ),
        targets=(
            Target("1.25 times as fast as the best Keras backend", "faster", 1.25, KERAS, reach="1.8 times"),
            Target("at most 1.03 times the best bare PyTorch loop", "share", 1.03, LOOPS),
            lightnings_share(1.03),
            Target("3 times as fast as a bare PyTorch loop", "faster", 3, LOOPS[:1], devices=("cuda",)),
            Target("3 times as fast as the best Keras backend", "faster", 3, KERAS, devices=("cuda",)),
        ),
        settings=SETTINGS,
        short=SHORT,
        needs="mnist",
        prepares=("mnist",),
        flops=cnn_epoch(),
        training_epochs=5,
        devices=BOTH,
    ),
    Workload(
        name="cnn-bf16",
        place=2,
        title="MNIST: the CNN, bfloat16",
        text="The same network and data, with bfloat16 in the products (`--config bf16`).",
        entries=(
            *ours(work=13, plain_work=13, precision="bf16"),
            Entry("torch-loop-tuned", "torch_loop", {"tuned": True, "precision": "bf16"}, start=3, work=7),
        ),
        targets=(
            Target(
                "1.5 times as fast as the best Keras backend in float32",
                "faster",
                1.5,
                KERAS,
                workload="cnn",
                reach="3 times",
            ),
        ),
        settings=SETTINGS,
        short=SHORT,
        needs="mnist",
        prepares=("mnist",),
        flops=cnn_epoch(),
        training_epochs=5,
        devices=BOTH,
    ),
]
