"""The machine's own rate, which the other workloads are compared with."""

from scripts.benchmark.cells import BOTH, Entry, Workload

NAME, PRODUCTS = "machine", "torch.mm"

WORKLOADS = [
    Workload(
        name=NAME,
        place=0,
        title="The machine",
        text="Rate of one matrix product of 2048 by 2048 numbers, the fastest of 20.",
        entries=(Entry(PRODUCTS, "matrices", start=2, work=2),),
        settings={"size": 2048, "products": 20},
        short_share=1.0,
        figure="seconds",
        devices=BOTH,
    )
]
