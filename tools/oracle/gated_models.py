"""Small random checkpoints with a gate on attention's output, and their logits in f32: transformers' Qwen3 with the gate added.

The gate is a linear layer of its own here, fed with what the attention layer is fed with, and multiplies what enters the output
projection. The checkpoints hold it in the layouts that are in use; `grouped` is that of the published gated models.
"""

import json
import shutil
from dataclasses import dataclass

import torch
import transformers
from safetensors.torch import save_file
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from golden_files import MODELS_GOLDEN, provenance, write_tensors
from random_models import QWEN, decoder_golden

MADE_BY = provenance("gated_models.py", torch, transformers)


@dataclass
class Variant:
    """How the gate is shaped and stored, and what else differs from Qwen3."""

    granularity: str
    layout: str | None = None
    layers: int = 2
    norms: bool = True
    biases: bool = False


VARIANTS = {
    "gated-elementwise": Variant("elementwise"),
    "gated-headwise": Variant("headwise", norms=False, biases=True),
    "gated-per-head": Variant("headwise", layout="perHead", layers=1),
    "gated-separate": Variant("elementwise", layout="separate", layers=1),
}


def add_gate(attention: nn.Module, granularity: str, biased: bool) -> nn.Linear:
    heads = attention.config.num_attention_heads
    width = attention.head_dim if granularity == "elementwise" else 1
    gate = nn.Linear(attention.config.hidden_size, heads * width, bias=biased)
    seen: dict[str, torch.Tensor] = {}

    def keep_input(_, args, kwargs) -> None:
        seen["x"] = args[0] if args else kwargs["hidden_states"]

    def multiply(_, args):
        y = args[0].unflatten(-1, (heads, attention.head_dim))
        return ((y * torch.sigmoid(gate(seen["x"]).unflatten(-1, (heads, width)))).flatten(-2),)

    attention.register_forward_pre_hook(keep_input, with_kwargs=True)
    attention.o_proj.register_forward_pre_hook(multiply)
    return gate


def fused(query: torch.Tensor, gate: torch.Tensor, groups: int) -> torch.Tensor:
    parts = zip(query.chunk(groups), gate.chunk(groups))
    return torch.cat([torch.cat(pair) for pair in parts])


def write_variant(name: str, variant: Variant, seed: int) -> None:
    torch.manual_seed(seed)
    sizes = QWEN | {"head_dim": 32, "num_hidden_layers": variant.layers}
    config = Qwen3Config(**sizes, attention_bias=False)
    model = Qwen3ForCausalLM(config).eval()
    gates = []
    for layer in model.model.layers:
        attention = layer.self_attn
        if not variant.norms:
            attention.q_norm = attention.k_norm = nn.Identity()
        if variant.biases:
            for part in (attention.q_proj, attention.k_proj, attention.v_proj):
                part.bias = nn.Parameter(0.2 * torch.randn(part.out_features))
        gates.append(add_gate(attention, variant.granularity, variant.biases))
        nn.init.normal_(gates[-1].weight, std=0.3)
    parameters = list(model.parameters()) + [parameter for gate in gates for parameter in gate.parameters()]
    with torch.no_grad():
        for parameter in parameters:
            # Norms away from 1; and what is measured is what is stored.
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
            parameter.copy_(parameter.bfloat16().float())

    state = {key: value for key, value in model.state_dict().items() if key != "lm_head.weight"}
    for index, gate in enumerate(gates):
        for kind, value in gate.state_dict().items():
            at = f"model.layers.{index}.self_attn"
            if variant.layout == "separate":
                state[f"{at}.gate_proj.{kind}"] = value
                continue
            groups = config.num_attention_heads if variant.layout == "perHead" else config.num_key_value_heads
            state[f"{at}.q_proj.{kind}"] = fused(state[f"{at}.q_proj.{kind}"], value, groups)

    folder = MODELS_GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_file(
        {key: value.bfloat16().contiguous() for key, value in state.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    written = {
        **sizes,
        "model_type": "qwen3",
        "architectures": ["Qwen3ForCausalLM"],
        "use_qk_norm": variant.norms,
        "qkv_bias": variant.biases,
        "headwise_attn_output_gate": variant.granularity == "headwise",
        "elementwise_attn_output_gate": variant.granularity == "elementwise",
        **({"attn_output_gate_layout": variant.layout} if variant.layout else {}),
    }
    (folder / "config.json").write_text(json.dumps(written, indent=2) + "\n")
    write_tensors(folder / "golden.safetensors", decoder_golden(model, seed), MADE_BY)


def main() -> None:
    for index, (name, variant) in enumerate(VARIANTS.items()):
        write_variant(name, variant, 300 + index)


if __name__ == "__main__":
    main()
