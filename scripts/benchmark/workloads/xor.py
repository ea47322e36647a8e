"""XOR: 10,000 passes over four rows."""

from scripts.benchmark.cells import Entry, Target, Workload
from scripts.benchmark.entries import ours

WORKLOADS = [
    Workload(
        name="xor",
        place=7,
        title="XOR: 10,000 passes",
        text="2-4-1 sigmoid units in float64. Seconds of training beside the start of the program.",
        entries=(
            *ours(work=8, plain_work=8),
            Entry("numpy", "numpy_loop", start=0.5, work=0.3),
            Entry("jax, one scan", "jax_scan", start=2, work=1, packages=("jax",)),
        ),
        targets=(Target("2 s in `fit`", "below", 2, figure="fit", reach="the time of numpy"),),
        settings={"config": "xor_mlp", "epochs": 10, "passes": 10_000},
        short={"epochs": 2, "passes": 2_000},
        short_share=0.2,
        figure="fit",
        unit="seconds of training",
    )
]
