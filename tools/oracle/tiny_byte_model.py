"""The tiny byte model: its text, its network, and what is measured on it. `train_tiny_byte_model.py` trains it.

A byte is a token. The text is the novel that the benchmarks ship; the model sees only its second volume, since methods are
scored on the first.
"""

import math

import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from golden_files import ROOT

FOLDER = ROOT / "packages" / "tiny-models" / "checkpoints" / "persuasion-bytes"
CONTEXT = 1024
# Passages on which the held-out perplexity is measured, and the bytes of each.
HELD_OUT = (8, 512)
# The end of the second volume is not trained on: it chooses the checkpoint.
VALIDATION_BYTES = 12_000

CONFIG = LlamaConfig(
    vocab_size=256,
    hidden_size=128,
    intermediate_size=352,
    num_hidden_layers=8,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=CONTEXT,
    rms_norm_eps=1e-5,
    tie_word_embeddings=True,
    rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    # Every id is a byte of text.
    bos_token_id=None,
    eos_token_id=None,
    pad_token_id=None,
)


def volumes() -> tuple[torch.Tensor, torch.Tensor]:
    """The bytes of the novel's first and second volume, as the bench splits them."""
    text = (ROOT / "apps" / "bench" / "data" / "persuasion.txt").read_text()
    cut = text.index("\nChapter 13\n") + 1
    first, second = (part.rstrip().encode() for part in (text[:cut], text[cut:]))
    return torch.tensor(list(first)), torch.tensor(list(second))


def training_text() -> torch.Tensor:
    return volumes()[1][:-VALIDATION_BYTES]


def validation_text() -> torch.Tensor:
    return volumes()[1][-VALIDATION_BYTES:]


def held_out_passages() -> torch.Tensor:
    """[passages, bytes], spread evenly over the first volume."""
    first, (count, length) = volumes()[0], HELD_OUT
    stride = (len(first) - length) // count
    return torch.stack([first[index * stride :][:length] for index in range(count)])


@torch.no_grad()
def mean_loss(model: LlamaForCausalLM, rows: torch.Tensor) -> float:
    """Nats per byte, each byte but a row's first predicted from all before it in the row."""
    losses = [functional.cross_entropy(model(row[None]).logits[0, :-1], row[1:], reduction="none") for row in rows]
    return torch.cat(losses).double().mean().item()


def windows(text: torch.Tensor, length: int) -> torch.Tensor:
    """Rows of `length` bytes; the rest at the end is left out."""
    return text[: len(text) // length * length].reshape(-1, length)


def perplexity(model: LlamaForCausalLM, rows: torch.Tensor) -> float:
    return math.exp(mean_loss(model, rows))


@torch.no_grad()
def golden_logits(model: LlamaForCausalLM) -> dict[str, torch.Tensor]:
    """`input_ids` i32 [N] and `logits` f32 [N, 256] of the beginning of a held-out passage."""
    ids = held_out_passages()[1, :24]
    return {"input_ids": ids.to(torch.int32), "logits": model(ids[None]).logits[0]}
