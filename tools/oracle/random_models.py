"""Small random checkpoints of every architecture and transformers' logits on them, in f32.

Each folder holds what a checkpoint folder holds (config.json, generation_config.json, model.safetensors) and
golden.safetensors: of decoders prefill and greedy decoding with a cache, of encoders hidden rows and logits. Folders that end
in `-gguf` hold the network as a GGUF file (see random_gguf.py).

    python random_models.py            # all
    python random_models.py gemma3     # those whose names begin so
"""

import shutil
import sys
from dataclasses import dataclass, field

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedModel

from golden_files import MODELS_GOLDEN, provenance, write_tensors
from random_gguf import write_gguf

PROMPT = 23
STEPS = 8
MADE_BY = provenance("random_models.py", torch, transformers)

# Sizes of the architectures that name them as Llama does.
COMMON = {
    "vocab_size": 160,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": [2, 0],
    "pad_token_id": 0,
    # Large enough that logits differ clearly.
    "initializer_range": 0.15,
}

LLAMA = COMMON | {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}

# A window of 8 tokens in two of three layers, another rotary base in each kind, an attention scale that is not 1 / sqrt(D).
GEMMA3 = COMMON | {
    "head_dim": 32,
    "num_hidden_layers": 3,
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "query_pre_attn_scalar": 24,
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 2.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    },
}
# What GGUF files of Gemma 3 leave to the architecture: every sixth layer is global, the scale is 1 / sqrt(D).
GEMMA3_GGUF = GEMMA3 | {
    "num_hidden_layers": 6,
    "layer_types": None,
    "query_pre_attn_scalar": 32,
    "intermediate_size": 64,
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 1000000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    },
}

QWEN = COMMON | {"head_dim": 16, "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}}
QWEN2_WINDOW = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1, "tie_word_embeddings": False}

NEOX = {
    **{name: COMMON[name] for name in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")},
    **{name: COMMON[name] for name in ("num_attention_heads", "max_position_embeddings", "initializer_range")},
    "bos_token_id": 0,
    "eos_token_id": 0,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25},
}

GPT2 = {
    "vocab_size": 160,
    "n_embd": 64,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "initializer_range": 0.15,
}

BERT = {
    **{name: COMMON[name] for name in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")},
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "initializer_range": 0.15,
}


@dataclass
class Variant:
    """A checkpoint: transformers' architecture, its configuration, and how it is stored."""

    model: str
    config: dict[str, object] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32
    gguf: bool = False
    # Whether transformers reads the configuration of the GGUF file as well.
    metadata: bool = True


VARIANTS: dict[str, Variant] = {
    "llama-untied": Variant("LlamaForCausalLM", LLAMA | {"num_hidden_layers": 3, "tie_word_embeddings": False}),
    "llama-tied-bf16": Variant("LlamaForCausalLM", LLAMA, torch.bfloat16),
    "llama-linear": Variant(
        "LlamaForCausalLM",
        LLAMA | {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}},
    ),
    "llama-llama3": Variant("LlamaForCausalLM", LLAMA | {"rope_parameters": LLAMA3}),
    # As many key/value as query heads, and a head size that is not hidden_size / heads.
    "llama-mha-bf16": Variant(
        "LlamaForCausalLM",
        LLAMA | {"num_key_value_heads": 4, "head_dim": 32, "tie_word_embeddings": False},
        torch.bfloat16,
    ),
    "llama-gguf": Variant("LlamaForCausalLM", LLAMA | {"vocab_size": 700, "intermediate_size": 128}, gguf=True),
    "llama-biased": Variant("LlamaForCausalLM", LLAMA | {"attention_bias": True, "mlp_bias": True}, torch.bfloat16),
    "gemma3-bf16": Variant("Gemma3ForCausalLM", GEMMA3, torch.bfloat16),
    "gemma3-capped": Variant(
        "Gemma3ForCausalLM",
        GEMMA3 | {"final_logit_softcapping": 5.0, "num_hidden_layers": 1, "layer_types": ["full_attention"]},
        torch.bfloat16,
    ),
    "gemma3-gguf": Variant("Gemma3ForCausalLM", GEMMA3_GGUF, gguf=True, metadata=False),
    "qwen2-bf16": Variant("Qwen2ForCausalLM", QWEN | QWEN2_WINDOW, torch.bfloat16),
    "qwen2-gguf": Variant("Qwen2ForCausalLM", QWEN, gguf=True, metadata=False),
    "qwen3-bf16": Variant("Qwen3ForCausalLM", QWEN | {"head_dim": 32}, torch.bfloat16),
    "qwen3-gguf": Variant("Qwen3ForCausalLM", QWEN | {"head_dim": 32}, gguf=True, metadata=False),
    "gpt-neox-f16": Variant("GPTNeoXForCausalLM", NEOX, torch.float16),
    "gpt-neox-sequential": Variant(
        "GPTNeoXForCausalLM", NEOX | {"use_parallel_residual": False, "num_hidden_layers": 1}, torch.float16
    ),
    "gpt2-f16": Variant("GPT2LMHeadModel", GPT2, torch.float16),
    "gpt2-gguf": Variant("GPT2LMHeadModel", GPT2, gguf=True, metadata=False),
    "bert": Variant("BertForMaskedLM", BERT, torch.float16),
    "bert-headless": Variant("BertModel", BERT | {"num_hidden_layers": 1}, torch.float16),
}


def seed_of(name: str) -> int:
    """The first variants keep the seeds that they were made with."""
    if name == "llama-gguf":
        return 200
    index = list(VARIANTS).index(name)
    return 100 + index


def random_model(variant: Variant, seed: int) -> PreTrainedModel:
    torch.manual_seed(seed)
    architecture = getattr(transformers, variant.model)
    model = architecture(architecture.config_class(**variant.config))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name.lower() or "ln_" in name:
                # Gemma stores the deviation from 1, which is 0 at first.
                offset = 0.2 * torch.randn_like(parameter)
                parameter.copy_(offset if name.endswith("bias") else parameter + offset)
            elif name.endswith("bias"):
                parameter.copy_(0.2 * torch.randn_like(parameter))
    return model.eval()


@torch.no_grad()
def decoder_golden(model: PreTrainedModel, seed: int) -> dict[str, torch.Tensor]:
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, model.config.vocab_size, (1, PROMPT), generator=generator)
    result = model(ids, use_cache=True)
    prefill, cache = result.logits[0], result.past_key_values
    continuation, steps = [], []
    token = prefill[-1].argmax()
    for _ in range(STEPS):
        continuation.append(token)
        result = model(token.reshape(1, 1), past_key_values=cache, use_cache=True)
        steps.append(result.logits[0, -1])
        token = steps[-1].argmax()
    return {
        "input_ids": ids[0].to(torch.int32),
        "logits": prefill,
        "continuation_ids": torch.stack(continuation).to(torch.int32),
        "continuation_logits": torch.stack(steps),
    }


@torch.no_grad()
def encoder_golden(model: PreTrainedModel, seed: int) -> dict[str, torch.Tensor]:
    """Hidden rows (and logits, where there is a head) of one text, and of a pair of texts."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, model.config.vocab_size, (1, PROMPT), generator=generator)
    types = (torch.arange(PROMPT) >= PROMPT // 2).long()[None]
    golden = {"input_ids": ids[0].to(torch.int32), "token_types": types[0].to(torch.int32)}
    for name, token_types in (("", None), ("pair_", types)):
        result = model(ids, token_type_ids=token_types, output_hidden_states=True)
        golden[f"{name}hidden"] = result.hidden_states[-1][0]
        if hasattr(result, "logits"):
            golden[f"{name}logits"] = result.logits[0]
    return golden


def write_variant(name: str) -> None:
    variant, seed = VARIANTS[name], seed_of(name)
    folder = MODELS_GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    model = random_model(variant, seed)
    if variant.gguf:
        folder.mkdir(parents=True)
        write_gguf(folder / "model.gguf", model)
        # transformers' own reading of the metadata leaves out Qwen3's head size and GPT-2's number of
        # positions, and scales Gemma's queries as for heads of 256.
        known = {} if variant.metadata else {"config": model.config}
        read_back = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file="model.gguf", dtype=torch.float32, **known
        ).eval()
        write_tensors(folder / "golden.safetensors", decoder_golden(read_back, seed), f"{MADE_BY}, gguf")
        check_read_back(model, read_back)
        return
    model.to(variant.dtype).save_pretrained(folder)
    # What is measured is the stored checkpoint, rounded weights and all, computed in f32.
    if variant.model.startswith("Bert"):
        reader = AutoModelForMaskedLM if variant.model == "BertForMaskedLM" else transformers.AutoModel
        golden = encoder_golden(reader.from_pretrained(folder, dtype=torch.float32).eval(), seed)
    else:
        golden = decoder_golden(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), seed)
    write_tensors(folder / "golden.safetensors", golden, MADE_BY)


def check_read_back(model: PreTrainedModel, read_back: PreTrainedModel) -> None:
    """transformers undoes what the converter does: each matrix must come back as it was, but for quantization."""
    stored = read_back.state_dict()
    for name, value in model.state_dict().items():
        error = ((stored[name] - value).norm() / value.norm()).item()
        assert error < 0.12, (name, error)


def main() -> None:
    chosen = sys.argv[1:]
    for name in VARIANTS:
        if not chosen or any(name.startswith(prefix) for prefix in chosen):
            write_variant(name)


if __name__ == "__main__":
    main()
