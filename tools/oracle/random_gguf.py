"""Writes a random network as a GGUF file with quantized weights, as llama.cpp's converter would."""

import json
from pathlib import Path

import gguf
import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from golden_files import MODELS_GOLDEN

Q = gguf.GGMLQuantizationType
# Types that the tensors get by the last part of their names; all others are F32.
TYPES = {
    "token_embd": Q.Q8_0,
    "output": Q.Q8_0,
    "attn_q": Q.Q4_1,
    "attn_k": Q.Q4_1,
    "attn_v": Q.Q8_0,
    "attn_qkv": Q.Q8_0,
    "attn_output": Q.Q4_0,
    "ffn_gate": Q.Q8_0,
    "ffn_up": Q.Q8_0,
    "ffn_down": Q.Q4_1,
}

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_gguf(path: Path, model: PreTrainedModel) -> None:
    config = model.config
    kind = {"gemma3_text": "gemma3"}.get(config.model_type, config.model_type)
    writer = gguf.GGUFWriter(path, kind)
    write_sizes(writer, kind, config)
    if kind == "llama":
        write_tokenizer(writer)
    else:
        write_numbered_tokens(writer, config.vocab_size)

    architecture = next(number for number, name in gguf.MODEL_ARCH_NAMES.items() if name == kind)
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    for name, parameter in model.state_dict().items():
        if name == "lm_head.weight" and tied:
            continue
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert target, name
        value = as_converted(kind, config, target, parameter.detach().numpy())
        part, suffix = target.split(".")[-2:]
        stored = TYPES.get(part, Q.F32) if suffix == "weight" else Q.F32
        writer.add_tensor(target, gguf.quantize(value, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_sizes(writer: gguf.GGUFWriter, kind: str, config: object) -> None:
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    if kind == "gpt2":
        writer.add_feed_forward_length(4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if kind == "llama":
        writer.add_rope_dimension_count(head_size)
    else:
        writer.add_key_length(head_size)
        writer.add_value_length(head_size)
    if kind == "gemma3":
        writer.add_sliding_window(config.sliding_window)
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    writer.add_rope_freq_base(rope["rope_theta"])


def as_converted(kind: str, config: object, target: str, value: np.ndarray) -> np.ndarray:
    """What the converter does to a tensor beyond its name and type."""
    part = target.split(".")[-2]
    if kind == "llama" and part in ("attn_q", "attn_k"):
        return interleaved(value, config.num_attention_heads if part == "attn_q" else config.num_key_value_heads)
    if kind == "gemma3" and part.endswith("norm"):
        return value + 1
    if kind == "gpt2" and value.ndim == 2 and target.startswith("blk"):
        return np.ascontiguousarray(value.T)
    return value


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """The row order of query and key projections in GGUF files of the Llama architecture."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write_tokenizer(writer: gguf.GGUFWriter) -> None:
    tokenizer = Tokenizer.from_file(str(MODELS_GOLDEN / "small-tokenizer" / "tokenizer.json"))
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
    writer.add_chat_template(CHAT_TEMPLATE)


def write_numbered_tokens(writer: gguf.GGUFWriter, count: int) -> None:
    """Names for the ids: these files are about the network."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"token{index}" for index in range(count)])
    writer.add_token_types([1] * count)
    writer.add_token_merges([])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
