"""A small Qwen3-like language model with an output gate, and the two tasks that it is trained and measured on.

`train_gated_attention.py` trains it; names are those of transformers' Qwen3, with the gate as a projection of its own,
`self_attn.gate_proj`.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from golden_files import ROOT


@dataclass(frozen=True)
class Sizes:
    hidden: int = 128
    layers: int = 4
    heads: int = 6
    kv_heads: int = 2
    head: int = 32
    # Of the model without a gate; a gate takes its parameters from here, so that all models have as many.
    mlp: int = 384
    vocabulary: int = 256
    context: int = 256
    base: float = 10_000.0
    epsilon: float = 1e-6
    query_key_norm: bool = True

    def gate_rows(self, gate: str | None) -> int:
        return {None: 0, "headwise": self.heads, "elementwise": self.heads * self.head}[gate]

    def mlp_with(self, gate: str | None) -> int:
        taken, rest = divmod(self.gate_rows(gate), 3)
        assert rest == 0, "the gate has as many parameters as whole MLP units"
        return self.mlp - taken


def rope_tables(sizes: Sizes, positions: int) -> tuple[torch.Tensor, torch.Tensor]:
    frequencies = sizes.base ** (-torch.arange(0, sizes.head, 2, dtype=torch.float64) / sizes.head)
    angles = torch.outer(torch.arange(positions, dtype=torch.float64), frequencies).repeat(1, 2)
    return angles.cos().float(), angles.sin().float()


def rotate(x: torch.Tensor, tables: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    cos, sin = tables
    first, second = x.chunk(2, dim=-1)
    return x * cos[: x.shape[-2]] + torch.cat((-second, first), dim=-1) * sin[: x.shape[-2]]


class Attention(nn.Module):
    def __init__(self, sizes: Sizes, gate: str | None) -> None:
        super().__init__()
        self.sizes, self.gate = sizes, gate
        self.q_proj = nn.Linear(sizes.hidden, sizes.heads * sizes.head, bias=False)
        self.k_proj = nn.Linear(sizes.hidden, sizes.kv_heads * sizes.head, bias=False)
        self.v_proj = nn.Linear(sizes.hidden, sizes.kv_heads * sizes.head, bias=False)
        self.o_proj = nn.Linear(sizes.heads * sizes.head, sizes.hidden, bias=False)
        self.q_norm = nn.RMSNorm(sizes.head, sizes.epsilon) if sizes.query_key_norm else nn.Identity()
        self.k_norm = nn.RMSNorm(sizes.head, sizes.epsilon) if sizes.query_key_norm else nn.Identity()
        if gate:
            self.gate_proj = nn.Linear(sizes.hidden, sizes.gate_rows(gate), bias=False)

    def forward(self, x: torch.Tensor, tables: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        def heads(projected: torch.Tensor) -> torch.Tensor:
            return projected.unflatten(-1, (-1, self.sizes.head)).transpose(1, 2)

        q = rotate(self.q_norm(heads(self.q_proj(x))), tables)
        k = rotate(self.k_norm(heads(self.k_proj(x))), tables)
        v = heads(self.v_proj(x))
        shared = self.sizes.heads // self.sizes.kv_heads
        k, v = (t.repeat_interleave(shared, dim=1) for t in (k, v))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        if self.gate:
            y = y * torch.sigmoid(self.gate_proj(x).unflatten(-1, (self.sizes.heads, -1)))
        return self.o_proj(y.flatten(2))


class Mlp(nn.Module):
    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, sizes: Sizes, gate: str | None) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(sizes.hidden, sizes.epsilon)
        self.self_attn = Attention(sizes, gate)
        self.post_attention_layernorm = nn.RMSNorm(sizes.hidden, sizes.epsilon)
        self.mlp = Mlp(sizes.hidden, sizes.mlp_with(gate))

    def forward(self, x: torch.Tensor, tables: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x), tables)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, sizes: Sizes, gate: str | None) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(sizes.vocabulary, sizes.hidden)
        self.layers = nn.ModuleList(Layer(sizes, gate) for _ in range(sizes.layers))
        self.norm = nn.RMSNorm(sizes.hidden, sizes.epsilon)


class GatedLm(nn.Module):
    """Tied embeddings; every matrix begins with a normal distribution of deviation 0.02."""

    def __init__(self, sizes: Sizes, gate: str | None) -> None:
        super().__init__()
        self.model = Decoder(sizes, gate)
        self.tables = rope_tables(sizes, sizes.context)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x, self.tables)
        return functional.linear(self.model.norm(x), self.model.embed_tokens.weight)

    def loss(self, rows: torch.Tensor) -> torch.Tensor:
        """Nats per byte; each byte but a row's first is predicted from all before it in the row."""
        return functional.cross_entropy(self(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())


class Novel:
    """Bytes of the novel that the benchmarks ship; its end is not trained on. Every row begins with a byte that no text has."""

    name = "novel"
    sizes = Sizes()
    held_out_bytes = 61_440

    def __init__(self) -> None:
        data = (ROOT / "apps" / "bench" / "data" / "persuasion.txt").read_text().rstrip().encode()
        self.text = torch.tensor(list(data[: -self.held_out_bytes]))
        self.held_out_text = torch.tensor(list(data[-self.held_out_bytes :]))

    def batch(self, generator: torch.Generator, rows: int) -> torch.Tensor:
        """[rows, context + 1]"""
        starts = torch.randint(0, len(self.text) - self.sizes.context, (rows,), generator=generator)
        return self.begun(torch.stack([self.text[start : start + self.sizes.context] for start in starts]))

    def held_out(self) -> torch.Tensor:
        """Rows of `context` bytes behind the first one: all of the held-out text."""
        return self.begun(self.held_out_text.reshape(-1, self.sizes.context))

    @staticmethod
    def begun(rows: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros(len(rows), 1, dtype=rows.dtype), rows], dim=1)


class Backcopy:
    """
    The bigram-backcopy task, on which attention sinks were studied (Guo et al., "Active-Dormant Attention Heads", 2024): a Markov
    chain whose trigger tokens are followed by the token before them. A head is of use behind triggers alone, and elsewhere
    has to look at something harmless. Row: a begin token, then the chain. Its models have no norms of queries and
    keys, which would bound scores at the beginning.
    """

    name = "backcopy"
    sizes = Sizes(hidden=64, layers=2, heads=6, kv_heads=6, head=16, mlp=192, vocabulary=64, context=64, query_key_norm=False)
    begin = 63
    triggers = (0, 1, 2)

    def __init__(self) -> None:
        # A hash that every language computes alike; the power leaves a token few likely successors.
        bits = (torch.arange(1, self.begin**2 + 1) * 2_654_435_761) % 2**32
        bits = ((bits ^ (bits >> 15)) * 2_246_822_519) % 2**32
        chain = ((bits ^ (bits >> 13)).double() / 2**32).reshape(self.begin, self.begin) ** 8
        # One token in ten is a trigger.
        others = chain[:, len(self.triggers) :].sum(1, keepdim=True)
        chain[:, : len(self.triggers)] = others / (9 * len(self.triggers))
        self.chain = chain / chain.sum(1, keepdim=True)

    def batch(self, generator: torch.Generator, rows: int) -> torch.Tensor:
        """[rows, context + 1]"""
        tokens = [torch.full((rows,), self.begin)]
        tokens.append(torch.randint(len(self.triggers), self.begin, (rows,), generator=generator))
        while len(tokens) <= self.sizes.context:
            drawn = torch.multinomial(self.chain[tokens[-1]], 1, generator=generator)[:, 0]
            tokens.append(torch.where(tokens[-1] < len(self.triggers), tokens[-2], drawn))
        return torch.stack(tokens, dim=1)

    def held_out(self) -> torch.Tensor:
        return self.batch(torch.Generator().manual_seed(0), 256)


TASKS = {"novel": Novel, "backcopy": Backcopy}
