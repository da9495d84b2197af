"""Muon (Jordan et al., 2024): momentum whose matrices are made nearly orthogonal before each step.

The polynomials of the iteration are four of Polar Express (Amsel et al., 2025).
"""

import torch

POLYNOMIALS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Nearly the orthogonal factor of each of f32 [count, rows, columns], rows <= columns."""
    x = matrices / (matrices.flatten(1).norm(dim=1)[:, None, None] * 1.01 + 1e-12)
    for a, b, c in POLYNOMIALS:
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x


class Muon(torch.optim.Optimizer):
    """For matrices alone. Those of one shape, lying or standing, are made orthogonal together."""

    def __init__(self, matrices: list[torch.nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.05) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[torch.nn.Parameter]] = {}
            for matrix in group["params"]:
                alike.setdefault(tuple(sorted(matrix.shape)), []).append(matrix)
            for matrices in alike.values():
                self.move(matrices, group)

    def move(self, matrices: list[torch.nn.Parameter], group: dict[str, float]) -> None:
        lying = []
        for matrix in matrices:
            average = self.state[matrix].setdefault("average", torch.zeros_like(matrix))
            average.lerp_(matrix.grad, 1 - group["momentum"])
            update = matrix.grad.lerp(average, group["momentum"])
            lying.append(update if len(update) <= update.shape[1] else update.T)
        for matrix, update in zip(matrices, orthogonal(torch.stack(lying))):
            rows, columns = matrix.shape
            matrix.mul_(1 - group["lr"] * group["decay"])
            matrix.add_(update if rows <= columns else update.T, alpha=-group["lr"] * max(1, rows / columns) ** 0.5)
