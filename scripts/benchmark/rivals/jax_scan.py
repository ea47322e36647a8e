"""XOR as one compiled JAX function: all passes in one `lax.scan`, in float64."""

import time
from typing import Any

import numpy as np

from scripts.benchmark.cells import Job
from tests.parity.originals import XOR_INPUTS, XOR_TARGET, NumpyXOR


def run(job: Job) -> dict[str, Any]:
    """Trains for all passes. The seconds of "fit" include the compilation; those of "again" are from a second run
    without it."""
    import jax
    import jax.numpy as jnp

    config: Any = jax.config
    config.update("jax_enable_x64", True)
    inputs, target = jnp.asarray(XOR_INPUTS), jnp.asarray(XOR_TARGET)
    net = NumpyXOR.drawn(job.repetition)
    start = [jnp.asarray(a) for a in (net.weights1, net.bias1, net.weights2, net.bias2)]

    def outputs_of(weights: Any) -> Any:
        hidden = jax.nn.sigmoid(inputs @ weights[0] + weights[1])
        return jax.nn.sigmoid(hidden @ weights[2] + weights[3])

    def loss(weights: Any) -> Any:
        return jnp.square(target - outputs_of(weights)).sum() / 2

    @jax.jit
    def train(weights: Any) -> Any:
        def step(weights: Any, _: Any) -> Any:
            gradients = jax.grad(loss)(weights)
            return [w - 0.1 * g for w, g in zip(weights, gradients, strict=True)], None

        return jax.lax.scan(step, weights, length=job.settings["passes"])[0]

    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        trained = [w.block_until_ready() for w in train(start)]
        seconds.append(time.perf_counter() - began)
    accuracy = float(((np.asarray(outputs_of(trained))[:, 0] > 0.5) == [0, 1, 1, 0]).mean())
    work = {"parameters": 17, "precision": "64", "steps": job.settings["passes"], "accuracy": accuracy}
    return {"fit": seconds[0], "again": seconds[1], **work}
