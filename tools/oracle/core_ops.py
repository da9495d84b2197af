"""Golden results of PyTorch (and transformers' rotary positions) for the operations of the core, in f32.

Names are `<case>.<role>`: inputs first, `.out` (or a named output) last. README.md lists them.
"""

import torch
import torch.nn.functional as F
import transformers
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from golden_files import CORE_GOLDEN, provenance, write_tensors

Tensors = dict[str, torch.Tensor]


def random(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(*shape) * scale


def norms() -> Tensors:
    x = torch.cat([random(5, 67), random(2, 67, scale=1000), random(2, 67, scale=1e-4)])
    weight, bias = 1 + random(67, scale=0.2), random(67, scale=0.2)
    return {
        "norm.x": x,
        "norm.weight": weight,
        "norm.bias": bias,
        "rms_norm.out": F.rms_norm(x, (67,), weight, 1e-5),
        "layer_norm.out": F.layer_norm(x, (67,), weight, bias, 1e-5),
    }


def activations() -> Tensors:
    x = torch.cat([random(101, scale=3), torch.tensor([-100.0, -20.0, -8.0, -0.0, 0.0, 8.0, 20.0, 100.0])])
    up = random(109)
    return {
        "activation.x": x,
        "activation.up": up,
        "silu.out": F.silu(x),
        "gelu.out": F.gelu(x),
        "gelu_tanh.out": F.gelu(x, approximate="tanh"),
        "silu_gated.out": F.silu(x) * up,
    }


def softmaxes() -> Tensors:
    x = torch.cat([random(3, 131), random(2, 131, scale=200), torch.full((1, 131), -7.5)])
    x[1, 5] = 1e4
    return {"softmax.x": x, "softmax.out": F.softmax(x, dim=-1), "log_softmax.out": F.log_softmax(x, dim=-1)}


# Hugging Face's own parameters, in the form that a config.json has them.
ROPES = {
    "default": {"rope_type": "default"},
    "linear": {"rope_type": "linear", "factor": 2.5},
    "dynamic": {"rope_type": "dynamic", "factor": 2.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
}


def ropes() -> Tensors:
    heads, size, count = 3, 64, 9
    x = random(1, heads, count, size)
    positions = torch.tensor([[0, 1, 2, 3, 17, 63, 64, 100, 255]])
    tensors: Tensors = {"rope.x": x[0].transpose(0, 1), "rope.positions": positions[0].to(torch.int32)}
    for name, parameters in ROPES.items():
        config = LlamaConfig(
            hidden_size=heads * size,
            num_attention_heads=heads,
            head_dim=size,
            # The context that "dynamic" takes as the trained one.
            max_position_embeddings=64 if name == "dynamic" else 512,
            rope_parameters={"rope_theta": 10000.0, **parameters},
        )
        cos, sin = LlamaRotaryEmbedding(config)(x, positions)
        rotated, _ = apply_rotary_pos_emb(x, x, cos, sin)
        # [N, H, D], as the core has them.
        tensors[f"rope.{name}.out"] = rotated[0].transpose(0, 1)
        tensors[f"rope.{name}.cos"] = cos[0, :, : size // 2]
        tensors[f"rope.{name}.sin"] = sin[0, :, : size // 2]
    return tensors


# Name: B, H, Hkv, N, M, D, factor on q (large logits), causal.
ATTENTIONS = {
    "causal": (1, 4, 2, 13, 13, 64, 1, True),
    "causal_offset": (1, 3, 1, 5, 23, 64, 1, True),
    "causal_80": (1, 4, 4, 9, 17, 80, 1, True),
    "one_query": (2, 6, 2, 1, 37, 64, 1, True),
    "full": (2, 2, 1, 7, 11, 16, 1, False),
    "large": (1, 2, 2, 9, 19, 64, 60, True),
}


def attentions() -> Tensors:
    tensors: Tensors = {}
    for name, (batch, heads, kv_heads, queries, keys, size, factor, causal) in ATTENTIONS.items():
        q = random(batch, heads, queries, size, scale=factor)
        k, v = random(batch, kv_heads, keys, size), random(batch, kv_heads, keys, size)
        # The last query sees all keys.
        mask = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries) if causal else None
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        scores = q @ k.repeat_interleave(heads // kv_heads, dim=1).transpose(-1, -2) / size**0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        lse = torch.logsumexp(scores, dim=-1)
        tensors |= {f"attention.{name}.{role}": t for role, t in {"q": q, "k": k, "v": v, "out": out, "lse": lse}.items()}
    return tensors


def selections() -> Tensors:
    # Few distinct values: ties must keep their order.
    x = torch.cat([random(3, 301), torch.randint(0, 9, (3, 301)).float()])
    values, indices = torch.sort(x, dim=-1, descending=True, stable=True)
    ascending = torch.argsort(x, dim=-1, stable=True)
    return {
        "selection.x": x,
        "top_k.values": values[:, :17],
        "top_k.indices": indices[:, :17].to(torch.int32),
        "argsort.out": ascending.to(torch.int32),
        "argsort_descending.out": indices.to(torch.int32),
        "cumsum.out": torch.cumsum(x, dim=-1),
    }


def matmuls() -> Tensors:
    a, b = random(2, 9, 67), random(2, 67, 33)
    weight, bias = random(33, 67), random(33)
    return {
        "matmul.a": a,
        "matmul.b": b,
        "matmul.out": a @ b,
        "linear.weight": weight,
        "linear.bias": bias,
        "linear.out": F.linear(a, weight, bias),
    }


def main() -> None:
    torch.manual_seed(7)
    tensors = norms() | activations() | softmaxes() | ropes() | attentions() | selections() | matmuls()
    write_tensors(CORE_GOLDEN / "ops.safetensors", tensors, provenance("core_ops.py", torch, transformers))


if __name__ == "__main__":
    main()
