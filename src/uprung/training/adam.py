"""Adam (Kingma and Ba, ICLR 2015) in torch's fused operation: the numbers of `torch.optim.Adam(fused=True)`.

That class brings torch's compiler with it, a second of processor time that a run of half a minute need not spend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8  # the defaults of torch and of the paper


class Adam:
    """Moments of the gradients of some parameters; one without a gradient is left as it is."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        """Begin with no moments."""
        self.parameters = list(parameters)
        self.moments: dict[int, tuple[Tensor, Tensor, Tensor]] = {}  # number -> steps, mean, mean square

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move the parameters by their gradients."""
        moved = [(k, p) for k, p in enumerate(self.parameters) if p.grad is not None]
        for k, p in moved:
            if k not in self.moments:
                count = torch.zeros((), dtype=torch.float32, device=p.device)
                self.moments[k] = (count, torch.zeros_like(p), torch.zeros_like(p))
        if not moved:
            return
        counts, means, squares = (list(each) for each in zip(*(self.moments[k] for k, _ in moved), strict=True))
        torch._foreach_add_(counts, 1)
        torch._fused_adam_(
            [p for _, p in moved],
            [p.grad for _, p in moved if p.grad is not None],
            means,
            squares,
            [],
            counts,
            lr=learning_rate,
            beta1=BETA1,
            beta2=BETA2,
            weight_decay=0.0,
            eps=EPS,
            amsgrad=False,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the moments by the number of the parameter, in plain types."""
        return {"moments": {k: list(values) for k, values in self.moments.items()}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take moments that `state_dict` returned; they may lie on another device."""
        self.moments = {
            k: tuple(value.to(self.parameters[k].device) for value in values)
            for k, values in state_dict["moments"].items()
        }
