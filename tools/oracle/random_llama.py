"""Small random Llama checkpoints and transformers' logits on them, in f32: prefill, and greedy decoding with a cache.

Each folder holds what a checkpoint folder holds (config.json, generation_config.json, model.safetensors) and
golden.safetensors. `llama-gguf` holds the same kind of network as a GGUF file with quantized weights.
"""

import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from golden_files import MODELS_GOLDEN, provenance, write_tensors

PROMPT = 23
STEPS = 8
MADE_BY = provenance("random_llama.py", torch, transformers)

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
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}

# Name: differences from COMMON, and the type of the stored weights.
VARIANTS: dict[str, tuple[dict[str, object], torch.dtype]] = {
    "llama-untied": ({"num_hidden_layers": 3, "tie_word_embeddings": False}, torch.float32),
    "llama-tied-bf16": ({}, torch.bfloat16),
    "llama-linear": ({"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}}, torch.float32),
    "llama-llama3": ({"rope_parameters": LLAMA3}, torch.float32),
    # As many key/value as query heads, and a head size that is not hidden_size / heads.
    "llama-mha-bf16": ({"num_key_value_heads": 4, "head_dim": 32, "tie_word_embeddings": False}, torch.bfloat16),
}


def random_model(seed: int, **differences: object) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**(COMMON | differences)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.mul_(1 + 0.2 * torch.randn_like(parameter))
    return model.eval()


@torch.no_grad()
def golden(model: LlamaForCausalLM, seed: int) -> dict[str, torch.Tensor]:
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


def write_variant(name: str, differences: dict[str, object], dtype: torch.dtype, seed: int) -> None:
    folder = MODELS_GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    random_model(seed, **differences).to(dtype).save_pretrained(folder)
    # What is measured is the stored checkpoint, rounded weights and all, computed in f32.
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    write_tensors(folder / "golden.safetensors", golden(model, seed), MADE_BY)


# GGUF's names of a layer's tensors, and the types that they get here.
Q = gguf.GGMLQuantizationType
GGUF_LAYER = {
    "input_layernorm": ("attn_norm", Q.F32),
    "self_attn.q_proj": ("attn_q", Q.Q4_1),
    "self_attn.k_proj": ("attn_k", Q.Q4_1),
    "self_attn.v_proj": ("attn_v", Q.Q8_0),
    "self_attn.o_proj": ("attn_output", Q.Q4_0),
    "post_attention_layernorm": ("ffn_norm", Q.F32),
    "mlp.gate_proj": ("ffn_gate", Q.Q8_0),
    "mlp.up_proj": ("ffn_up", Q.Q8_0),
    "mlp.down_proj": ("ffn_down", Q.Q4_1),
}


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """The row order of query and key projections in GGUF files of the Llama architecture."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write_gguf(path: Path, model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)

    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([3 if token in special else 1 for token, _ in vocabulary])
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )

    tensors = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    add_tensor(writer, "token_embd", tensors["model.embed_tokens.weight"], Q.Q8_0)
    add_tensor(writer, "output_norm", tensors["model.norm.weight"], Q.F32)
    for layer in range(config.num_hidden_layers):
        for name, (short, kind) in GGUF_LAYER.items():
            value = tensors[f"model.layers.{layer}.{name}.weight"]
            if short == "attn_q":
                value = interleaved(value, config.num_attention_heads)
            if short == "attn_k":
                value = interleaved(value, config.num_key_value_heads)
            add_tensor(writer, f"blk.{layer}.{short}", value, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tensor(writer: gguf.GGUFWriter, name: str, value: np.ndarray, kind: gguf.GGMLQuantizationType) -> None:
    writer.add_tensor(f"{name}.weight", gguf.quantize(value, kind), raw_dtype=kind)


def write_gguf_variant(seed: int) -> None:
    folder = MODELS_GOLDEN / "llama-gguf"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer = Tokenizer.from_file(str(MODELS_GOLDEN / "small-tokenizer" / "tokenizer.json"))
    model = random_model(seed, vocab_size=tokenizer.get_vocab_size(), intermediate_size=128, num_hidden_layers=2)
    write_gguf(folder / "model.gguf", model, tokenizer)
    read_back = AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf", dtype=torch.float32).eval()
    write_tensors(folder / "golden.safetensors", golden(read_back, seed), f"{MADE_BY}, gguf")

    # transformers undoes the row order: each matrix must come back as it was, but for quantization.
    stored = read_back.state_dict()
    for name, value in model.state_dict().items():
        error = ((stored[name] - value).norm() / value.norm()).item()
        assert error < 0.12, (name, error)


def main() -> None:
    for index, (name, (differences, dtype)) in enumerate(VARIANTS.items()):
        write_variant(name, differences, dtype, seed=100 + index)
    write_gguf_variant(seed=200)


if __name__ == "__main__":
    main()
