"""The process around a training: its start, its memory, and other runs on the same machine."""

from scripts.benchmark.cells import OURS, Entry, Target, Workload

CNN = {"config": "mnist_cnn", "epochs": 1}
FIRST = {"clock": True, "steps": 1}
SPINNING = {"GOMP_SPINCOUNT": "300000"}
"""The default of GNU's OpenMP."""

WORKLOADS = [
    Workload(
        name="start",
        place=8,
        title="The start",
        text="Seconds from the start of a process to the end of its first training step, or to the end of an import.",
        entries=(
            Entry(OURS, "ours", FIRST, start=5, work=0, command=True),
            Entry("import torch", "imports", {"package": "torch"}, start=2, work=0, command=True),
            Entry(
                "import lightning.pytorch", "imports", {"package": "lightning.pytorch"}, start=6, work=0, command=True
            ),
            Entry(
                "import keras with tensorflow",
                "imports",
                {"package": "keras"},
                start=6,
                work=0,
                command=True,
                packages=("keras", "tensorflow"),
                environment={"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
            ),
        ),
        targets=(
            Target(
                "the first batch at most 1.3 times after `import torch`",
                "share",
                1.3,
                ("import torch",),
                figure="first_step",
                reach="1.1 times",
            ),
        ),
        settings=CNN,
        needs="mnist",
        short_share=1.0,
        figure="first_step",
        unit="seconds to the first step",
    ),
    Workload(
        name="shared-machine",
        place=9,
        title="A shared machine",
        text=(
            "200 steps of the CNN alone, then two such runs at once on the same cores: seconds of the slower one, "
            "divided by those alone. `--rival openmp` measures it with OpenMP's own settings, which takes minutes."
        ),
        entries=(
            Entry(OURS, "two_runs", {"steps": 200}, start=10, work=12),
            Entry("openmp", "two_runs", {"steps": 200}, start=10, work=100, optional=True, environment=SPINNING),
        ),
        targets=(
            Target("each at most 2.2 times as long as alone", "below", 2.2, figure="slowdown", reach="2.0 times"),
        ),
        settings=CNN,
        needs="mnist",
        short_share=1.0,
        figure="slowdown",
        unit="times as long as alone",
    ),
    Workload(
        name="memory",
        place=10,
        title="Memory of the CNN",
        text="Largest resident memory of a whole run: training on all of MNIST, and the test.",
        entries=(Entry(OURS, "ours", {}, start=5, work=10, most=3, command=True),),
        targets=(Target("under 1.2 GB", "below", 1.2, figure="gigabytes"),),
        settings=CNN,
        needs="mnist",
        short={"batches": 100},
        figure="gigabytes",
        unit="GB",
    ),
]
