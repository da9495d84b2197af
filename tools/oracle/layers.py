"""Golden results and gradients of PyTorch for the layers of the core's nn, in f32.

Names are `<case>.<role>`: inputs, `.out`, `.probe`, and `<case>.grad.<input>`, the gradient of sum(out * probe). README.md of the golden
folder lists them.
"""

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from golden_files import CORE_GOLDEN, provenance, write_tensors

Tensors = dict[str, torch.Tensor]


def random(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(*shape) * scale


def case(name: str, inputs: Tensors, function, source: str | None = None) -> Tensors:
    """Cases with the same inputs store them once, under the name of their source."""
    leaves = {key: value.clone().requires_grad_() for key, value in inputs.items()}
    out = function(**leaves)
    probe = torch.randn_like(out)
    (out * probe).sum().backward()
    return {
        **{f"{source or name}.{key}": value for key, value in inputs.items()},
        f"{name}.out": out.detach(),
        f"{name}.probe": probe,
        **{f"{name}.grad.{key}": leaf.grad for key, leaf in leaves.items()},
    }


def cases(functions: dict, inputs: Tensors, source: str) -> Tensors:
    tensors: Tensors = {}
    for name, function in functions.items():
        tensors |= case(name, inputs, function, source)
    return tensors


def convolutions() -> Tensors:
    def conv(**options):
        return lambda x, weight, bias: F.conv2d(x, weight, bias, **options)

    def transposed(x, weight, bias):
        return F.conv_transpose2d(
            x, weight, bias, stride=(2, 3), padding=(1, 0), dilation=(1, 2), output_padding=(1, 0), groups=2
        )

    return {
        **case(
            "conv2d",
            {"x": random(2, 4, 9, 8), "weight": random(6, 2, 3, 2, scale=0.3), "bias": random(6)},
            conv(stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
        ),
        **case(
            "depthwise",
            {"x": random(2, 3, 7, 6), "weight": random(3, 1, 3, 3, scale=0.3), "bias": random(3)},
            conv(padding=1, groups=3),
        ),
        **case(
            "conv1d",
            {"x": random(2, 5, 13), "weight": random(7, 5, 4, scale=0.3), "bias": random(7)},
            lambda x, weight, bias: F.conv1d(x, weight, bias, stride=2, padding=3),
        ),
        **case(
            "conv_transpose2d",
            {"x": random(2, 4, 3, 4), "weight": random(4, 3, 3, 2, scale=0.3), "bias": random(6)},
            transposed,
        ),
    }


def pools() -> Tensors:
    x = random(2, 3, 9, 8)
    pools = {
        "max_pool2d": lambda x: F.max_pool2d(x, (3, 2), stride=(2, 1), padding=1, dilation=(1, 2)),
        "avg_pool2d": lambda x: F.avg_pool2d(x, (3, 2), stride=2, padding=1),
        "avg_pool2d_inside": lambda x: F.avg_pool2d(x, (3, 2), stride=2, padding=1, count_include_pad=False),
        "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, (4, 3)),
    }
    return cases(pools, {"x": x}, "pool")


def norms() -> Tensors:
    inputs = {"x": 3 + random(4, 6, 5, 3), "weight": 1 + random(6, scale=0.2), "bias": random(6)}
    mean, var = random(6), 0.5 + torch.rand(6)
    after = {"mean": mean.clone(), "var": var.clone()}
    functions = {
        "batch_norm": lambda x, weight, bias: F.batch_norm(
            x, after["mean"], after["var"], weight, bias, training=True, momentum=0.1
        ),
        "batch_norm_evaluation": lambda x, weight, bias: F.batch_norm(x, mean, var, weight, bias, training=False),
        "group_norm": lambda x, weight, bias: F.group_norm(x, 3, weight, bias),
    }
    return {
        **cases(functions, inputs, "norm"),
        "batch_norm.mean": mean,
        "batch_norm.var": var,
        "batch_norm.mean.after": after["mean"],
        "batch_norm.var.after": after["var"],
    }


def samplings() -> Tensors:
    x, grid = random(2, 3, 5, 7), torch.rand(2, 4, 6, 2) * 2.6 - 1.3
    functions = {}
    for rows, columns in ((8, 11), (3, 4)):
        for align in (False, True):
            functions[f"bilinear_{rows}x{columns}{'_aligned' if align else ''}"] = (
                lambda x, size=(rows, columns), align=align: F.interpolate(x, size, mode="bilinear", align_corners=align)
            )
        functions[f"nearest_{rows}x{columns}"] = lambda x, size=(rows, columns): F.interpolate(x, size, mode="nearest")
    tensors = cases(functions, {"x": x}, "interpolation")
    functions = {}
    for padding in ("zeros", "border"):
        for align in (False, True):
            functions[f"grid_sample_{padding}{'_aligned' if align else ''}"] = (
                lambda x, grid, padding=padding, align=align: F.grid_sample(
                    x, grid, padding_mode=padding, align_corners=align
                )
            )
    return tensors | cases(functions, {"x": x.clone(), "grid": grid}, "grid_sample")


def activations() -> Tensors:
    x = torch.cat([random(90, scale=3), torch.tensor([-100.0, -30.0, -8.0, 8.0, 30.0, 100.0])])
    functions = {
        "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
        "elu": lambda x: F.elu(x, 1.5),
        "softplus": lambda x: F.softplus(x),
        "hardsigmoid": lambda x: F.hardsigmoid(x),
        "hardswish": lambda x: F.hardswish(x),
    }
    return cases(functions, {"x": x}, "activation")


def recurrent() -> Tensors:
    """Two layers in both directions; all parameters and both states get gradients."""
    tensors: Tensors = {}
    for name, make in (("lstm", torch.nn.LSTM), ("gru", torch.nn.GRU)):
        module = make(3, 4, num_layers=2, bidirectional=True, batch_first=True)
        states = {"h": random(4, 2, 4), **({"c": random(4, 2, 4)} if name == "lstm" else {})}

        def run(x, h, c=None, **parameters):
            given = (h, c) if c is not None else h
            out, last = torch.func.functional_call(module, parameters, (x, given))
            ends = last if isinstance(last, tuple) else (last,)
            return torch.cat([out.flatten(), *(end.flatten() for end in ends)])

        parameters = {key: value.detach().clone() for key, value in module.named_parameters()}
        tensors |= case(name, {"x": random(2, 5, 3), **states, **parameters}, run)
    return tensors


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 6, 3, stride=2, padding=1, groups=2)
        self.norm = torch.nn.BatchNorm2d(6)
        self.group = torch.nn.GroupNorm(3, 6)
        self.up = torch.nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.rnn = torch.nn.LSTM(4, 5, batch_first=True)
        self.gru = torch.nn.GRU(5, 3, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.up(F.relu(self.group(self.norm(self.conv(x)))))
        steps, _ = self.rnn(maps.mean(dim=2).transpose(1, 2))
        return self.gru(steps)[0]


def module() -> Tensors:
    model = Model()
    x = random(3, 2, 8, 6)
    model.train()
    model(x)
    model.eval()
    save_file(model.state_dict(), CORE_GOLDEN / "layers-state.safetensors", metadata={"format": "pt"})
    return {"model.x": x, "model.out": model(x).detach()}


def main() -> None:
    torch.manual_seed(8)
    torch.set_num_threads(1)
    tensors = convolutions() | pools() | norms() | samplings() | activations() | recurrent() | module()
    write_tensors(CORE_GOLDEN / "layers.safetensors", tensors, provenance("layers.py", torch))


if __name__ == "__main__":
    main()
