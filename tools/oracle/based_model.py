"""Based's layers in PyTorch, written from the paper's formulas, with the parameters of `@saccade/based` under the same names."""

import math

import torch
import torch.nn.functional as F
from torch import nn

import philox


class Initializer:
    """The core's `Initializer`: one stream of a seed per random parameter, in the order of creation."""

    def __init__(self, seed: int) -> None:
        self.seed, self.stream = seed, 0

    def uniform(self, shape: tuple[int, ...], bound: float) -> nn.Parameter:
        numbers = torch.from_numpy(philox.uniform(math.prod(shape), self.seed, self.next()))
        return nn.Parameter((numbers * (2 * bound) - bound).reshape(shape))

    def normal(self, shape: tuple[int, ...]) -> nn.Parameter:
        return nn.Parameter(torch.from_numpy(philox.normal(math.prod(shape), self.seed, self.next())).reshape(shape))

    def next(self) -> int:
        self.stream += 1
        return self.stream - 1


class Linear(nn.Module):
    def __init__(self, init: Initializer, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__()
        self.weight = init.uniform((outputs, inputs), 1 / math.sqrt(inputs))
        self.bias = init.uniform((outputs,), 1 / math.sqrt(inputs)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight, self.bias)


class RmsNorm(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, 1e-6)


class ShortConvolution(nn.Module):
    def __init__(self, init: Initializer, channels: int, kernel: int) -> None:
        super().__init__()
        self.weight = init.uniform((channels, 1, kernel), 1 / math.sqrt(kernel))
        self.bias = init.uniform((channels,), 1 / math.sqrt(kernel))


class BaseConv(nn.Module):
    def __init__(self, init: Initializer, size: int, kernel: int = 3, expansion: int = 4) -> None:
        super().__init__()
        channels = expansion * size // 2
        self.in_proj = Linear(init, size, 2 * channels, bias=True)
        self.conv = ShortConvolution(init, channels, kernel)
        self.out_proj = Linear(init, channels, size, bias=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        signal, gate = self.in_proj(x).chunk(2, dim=-1)
        kernel = self.conv.weight.shape[2]
        padded = F.pad(signal.transpose(1, 2), (kernel - 1, 0))
        filtered = F.conv1d(padded, self.conv.weight, self.conv.bias, groups=signal.shape[-1])
        return self.out_proj(F.silu(filtered.transpose(1, 2)) * gate)


def heads_of(x: torch.Tensor, heads: int) -> torch.Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class LinearMixer(nn.Module):
    def __init__(self, init: Initializer, size: int, heads: int, feature_dim: int) -> None:
        super().__init__()
        self.heads, self.feature_dim = heads, feature_dim
        self.proj_q = Linear(init, size, heads * feature_dim)
        self.proj_k = Linear(init, size, heads * feature_dim)
        self.proj_v = Linear(init, size, size)
        self.out_proj = Linear(init, size, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (heads_of(projection(x), self.heads) for projection in (self.proj_q, self.proj_k, self.proj_v))
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.feature_dim)
        weights = torch.tril(1 + scores + scores**2 / 2)
        mixed = weights @ v / (weights.sum(-1, keepdim=True) + 1e-12)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


def rotated(x: torch.Tensor) -> torch.Tensor:
    length, size = x.shape[-2:]
    angles = torch.arange(length)[:, None] * 10000 ** (-torch.arange(0, size, 2) / size)
    first, second = x.chunk(2, dim=-1)
    cos, sin = torch.cos(angles), torch.sin(angles)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class AttentionMixer(nn.Module):
    """Softmax attention; with a window size a query sees itself and half as many tokens before it."""

    def __init__(self, init: Initializer, size: int, heads: int, window: int | None) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.q_proj = Linear(init, size, size)
        self.k_proj = Linear(init, size, size)
        self.v_proj = Linear(init, size, size)
        self.o_proj = Linear(init, size, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (heads_of(projection(x), self.heads) for projection in (self.q_proj, self.k_proj, self.v_proj))
        scores = rotated(q) @ rotated(k).transpose(-1, -2) / math.sqrt(q.shape[-1])
        place = torch.arange(x.shape[1])
        distance = place[:, None] - place
        hidden = distance < 0
        if self.window is not None:
            hidden = hidden | (distance > self.window // 2)
        mixed = torch.softmax(scores.masked_fill(hidden, -torch.inf), dim=-1) @ v
        return self.o_proj(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, size: int, mixer: nn.Module) -> None:
        super().__init__()
        self.norm1 = RmsNorm(size)
        self.mixer = mixer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.mixer(self.norm1(x))


class BasedModel(nn.Module):
    """A model without MLPs, as the recall task is learned with."""

    def __init__(
        self, seed: int, layers: list[str], vocabulary: int, size: int, feature_dim: int, window: int, heads: int = 1
    ) -> None:
        super().__init__()
        init = Initializer(seed)
        make = {
            "conv": lambda: BaseConv(init, size),
            "linear": lambda: LinearMixer(init, size, heads, feature_dim),
            "window": lambda: AttentionMixer(init, size, heads, window),
            "attention": lambda: AttentionMixer(init, size, heads, None),
        }
        self.embeddings = nn.Embedding(vocabulary, size, _weight=init.normal((vocabulary, size)))
        self.layers = nn.ModuleList([Block(size, make[kind]()) for kind in layers])
        self.norm = RmsNorm(size)
        self.lm_head = Linear(init, size, vocabulary)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embeddings(ids)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(self.norm(x))
