"""Keras' optimizers Adam and RMSprop for torch.

Source: `keras/src/optimizers/{adam,rmsprop}.py` in Keras 3. With TensorFlow, Keras 3 deviates from its own formula for
an Embedding: it squares the gradient of each occurrence of a word, and then adds the squares. Here the gradients are
added before they are squared, as in Keras with JAX or torch.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class KerasAdam(torch.optim.Adam):
    """Adam with epsilon added to the *uncorrected* root: `w -= lr_t * m / (sqrt(v) + eps)`.

    The step size is `lr_t = lr * sqrt(1-b2^t) / (1-b1^t)`. Torch adds epsilon after the correction of `v`. Keras' rule
    is torch's with the epsilon `eps / sqrt(1-b2^t)`, so this class sets that epsilon before each step of torch's fused
    kernel.

    Args:
        params: parameters, or groups of them.
        lr: learning rate.
        betas: decay per step of the mean of gradients and of the mean of squared gradients.
        eps: Keras' epsilon.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-7,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, fused=True)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(
            {**param_group, "keras_eps": param_group.get("eps", self.defaults["eps"]), "keras_step": 0}
        )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        # Lightning computes the gradients inside the closure; the step count does not depend on them.
        for group in self.param_groups:
            group["keras_step"] += 1
            group["eps"] = group["keras_eps"] / (1 - group["betas"][1] ** group["keras_step"]) ** 0.5
        return super().step(closure)


class KerasRMSprop(torch.optim.Optimizer):
    """RMSprop with epsilon inside the root: `v = rho*v + (1-rho)*g^2`, `w -= lr * g / sqrt(v + eps)`.

    Args:
        params: parameters, or groups of them.
        lr: learning rate.
        rho: decay per step of the mean of squared gradients; torch's own default is 0.99.
        eps: Keras' epsilon.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], *, lr: float = 1e-3, rho: float = 0.9, eps: float = 1e-7
    ) -> None:
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [w for w in group["params"] if w.grad is not None]
            if weights:
                self._update(weights, group)
        return loss

    def _update(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        grads = [w.grad for w in weights if w.grad is not None]
        for w in weights:
            if not self.state[w]:
                self.state[w]["velocity"] = torch.zeros_like(w)
        velocity = [self.state[w]["velocity"] for w in weights]
        torch._foreach_mul_(velocity, group["rho"])
        torch._foreach_addcmul_(velocity, grads, grads, value=1 - group["rho"])
        root = torch._foreach_add(velocity, group["eps"])
        torch._foreach_sqrt_(root)
        torch._foreach_addcdiv_(weights, grads, root, value=-group["lr"])
