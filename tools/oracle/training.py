"""Golden gradients and optimizer trajectories of PyTorch for the core's autodiff and nn, in f32.

Names are `<case>.<role>`; `<case>.grad.<input>` is the gradient of `<case>.loss` by an input. README.md of the golden folder
lists them.
"""

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from golden_files import CORE_GOLDEN, provenance, write_tensors

Tensors = dict[str, torch.Tensor]


def random(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(*shape) * scale


def case(name: str, inputs: Tensors, constants: Tensors, loss) -> Tensors:
    leaves = {key: value.clone().requires_grad_() for key, value in inputs.items()}
    result = loss(**leaves, **constants)
    result.backward()
    given = {**inputs, **{key: value.int() if value.dtype == torch.long else value for key, value in constants.items()}}
    return {
        **{f"{name}.{key}": value for key, value in given.items()},
        f"{name}.loss": result.detach().reshape(1),
        **{f"{name}.grad.{key}": leaf.grad for key, leaf in leaves.items()},
    }


def classifier() -> Tensors:
    """Embedding, layer norm, MLP with a residual, cross-entropy with ignored rows and label smoothing."""
    inputs = {
        "table": random(11, 24),
        "scale": 1 + random(24, scale=0.2),
        "shift": random(24, scale=0.2),
        "up": random(40, 24, scale=0.2),
        "up_bias": random(40, scale=0.2),
        "down": random(24, 40, scale=0.2),
        "head": random(13, 24, scale=0.3),
    }
    constants = {"ids": torch.randint(0, 11, (17,)), "targets": torch.randint(0, 12, (17,))}
    constants["targets"][3] = constants["targets"][9] = 12

    def loss(table, scale, shift, up, up_bias, down, head, ids, targets):
        x = F.embedding(ids, table)
        hidden = F.gelu(F.linear(F.layer_norm(x, (24,), scale, shift, 1e-5), up, up_bias))
        logits = F.linear(x + F.linear(hidden, down), head)
        return F.cross_entropy(logits, targets, ignore_index=12, label_smoothing=0.1, reduction="sum")

    return case("classifier", inputs, constants, loss)


def attention() -> Tensors:
    """RMS norm, a head of attention out of its parts, a gated MLP."""
    inputs = {
        "x": random(9, 16),
        "norm": 1 + random(16, scale=0.2),
        "q": random(16, 16, scale=0.4),
        "k": random(16, 16, scale=0.4),
        "gate": random(20, 16, scale=0.4),
        "up": random(20, 16, scale=0.4),
    }

    def loss(x, norm, q, k, gate, up):
        y = F.rms_norm(x, (16,), norm, 1e-6)
        weights = F.softmax(F.linear(y, q) @ F.linear(y, k).T / 4, dim=-1)
        mixed = weights @ y
        gated = F.silu(F.linear(mixed, gate)) * F.linear(mixed, up)
        return (torch.cumsum(gated, dim=-1) ** 2).mean() + torch.logsumexp(mixed, dim=-1).sum()

    return case("attention", inputs, {}, loss)


def trajectory(name: str, make) -> Tensors:
    """Twelve steps under given gradients; the parameters after each."""
    first, second = random(3, 7), random(5)
    parameters = [torch.nn.Parameter(first.clone()), torch.nn.Parameter(second.clone())]
    optimizer = make(parameters)
    gradients = [[random(3, 7, scale=2.0 ** (step % 5 - 3)), random(5)] for step in range(12)]
    states = []
    for step in gradients:
        for parameter, gradient in zip(parameters, step):
            parameter.grad = gradient.clone()
        optimizer.step()
        states.append([parameter.detach().clone() for parameter in parameters])
    return {
        f"{name}.weight": first,
        f"{name}.bias": second,
        f"{name}.weight.grads": torch.stack([step[0] for step in gradients]),
        f"{name}.bias.grads": torch.stack([step[1] for step in gradients]),
        f"{name}.weight.steps": torch.stack([state[0] for state in states]),
        f"{name}.bias.steps": torch.stack([state[1] for state in states]),
    }


def optimizers() -> Tensors:
    return {
        **trajectory(
            "adamw",
            lambda p: torch.optim.AdamW(
                [{"params": p[:1], "weight_decay": 0.1}, {"params": p[1:], "weight_decay": 0.0, "lr": 3e-3}],
                lr=1e-2, betas=(0.9, 0.95), eps=1e-8,
            ),
        ),
        **trajectory("sgd", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True)),
    }


def clipping() -> Tensors:
    gradients = [random(3, 7), random(5), random(1)]
    parameters = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = gradient.clone()
    norm = torch.nn.utils.clip_grad_norm_(parameters, 1.5)
    return {
        "clip.norm": norm.reshape(1),
        **{f"clip.{index}": gradient for index, gradient in enumerate(gradients)},
        **{f"clip.out.{index}": parameter.grad for index, parameter in enumerate(parameters)},
    }


class Mlp(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = torch.nn.Linear(5, 9)
        self.fc2 = torch.nn.Linear(9, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


def module() -> Tensors:
    model = Mlp()
    x = random(4, 5)
    save_file(model.state_dict(), CORE_GOLDEN / "mlp-state.safetensors", metadata={"format": "pt"})
    return {"mlp.x": x, "mlp.out": model(x).detach()}


def main() -> None:
    torch.manual_seed(6)
    torch.set_num_threads(1)
    tensors = {**classifier(), **attention(), **optimizers(), **clipping(), **module()}
    write_tensors(CORE_GOLDEN / "training.safetensors", tensors, provenance("training.py", torch))


if __name__ == "__main__":
    main()
