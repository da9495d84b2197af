"""Trains the tiny byte model of packages/tiny-models, and writes its checkpoint, its log and golden logits.

One thread, about half an hour. It stops and resumes anywhere: the state is kept in ~/.cache/saccade/tiny-models, and every
step draws its batch and its dropout from a seed of its own.

    OMP_NUM_THREADS=1 nice -n 15 python train_tiny_byte_model.py
"""

import json
import math
import os
import time
from pathlib import Path

import torch
import transformers
from torch.nn import functional
from transformers import LlamaForCausalLM

from golden_files import ROOT, provenance, write_json, write_tensors
from tiny_byte_model import (
    CONFIG,
    CONTEXT,
    FOLDER,
    HELD_OUT,
    golden_logits,
    held_out_passages,
    mean_loss,
    perplexity,
    training_text,
    validation_text,
    volumes,
    windows,
)

SEED = 2026
STEPS = 3000
BYTES_PER_STEP = 2048
# Bytes of a row, by turns: long rows teach all positions of the context, short ones are cheaper.
ROW_LENGTHS = (256, 256, 256, CONTEXT)
PEAK_RATE, FINAL_RATE = 3e-3, 1e-4
# The warm-up goes without dropout, so that another implementation can repeat its losses from the same batches.
WARM_UP = 100
DROPOUT = 0.15
WEIGHT_DECAY = 0.1
EVALUATE_EVERY = 100
STATE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "saccade" / "tiny-models" / "persuasion-bytes.pt"


def new_model() -> LlamaForCausalLM:
    torch.manual_seed(SEED)
    return LlamaForCausalLM(CONFIG)


def add_dropout(model: LlamaForCausalLM, rate: dict[str, float]) -> None:
    """Dropout on the embeddings and on what each attention and MLP adds to the residual stream."""
    layers = model.model.layers
    parts = [model.model.embed_tokens, *(layer.self_attn.o_proj for layer in layers), *(layer.mlp for layer in layers)]
    for part in parts:
        part.register_forward_hook(lambda module, _, output: functional.dropout(output, rate["now"], module.training))


def learning_rate(step: int) -> float:
    if step < WARM_UP:
        return PEAK_RATE * (step + 1) / WARM_UP
    share = (step - WARM_UP) / (STEPS - WARM_UP)
    return FINAL_RATE + (PEAK_RATE - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * share))


def batch(text: torch.Tensor, step: int) -> torch.Tensor:
    length = ROW_LENGTHS[step % len(ROW_LENGTHS)]
    generator = torch.Generator().manual_seed(SEED + step)
    starts = torch.randint(0, len(text) - length - 1, (BYTES_PER_STEP // length,), generator=generator)
    return torch.stack([text[start : start + length + 1] for start in starts])


def optimizer_of(model: LlamaForCausalLM) -> torch.optim.AdamW:
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98))


def train() -> dict[str, object]:
    """Trains to the end, from the stored state where there is one; returns the final state."""
    model = new_model()
    optimizer = optimizer_of(model)
    state: dict[str, object] = {"step": 0, "seconds": 0.0, "losses": [], "curve": [], "best": None}
    if STATE.exists():
        state = torch.load(STATE, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    rate = {"now": 0.0}
    add_dropout(model, rate)
    text, validation = training_text(), windows(validation_text(), 1000)
    started = time.monotonic() - state["seconds"]
    for step in range(state["step"], STEPS):
        model.train()
        rate["now"] = 0.0 if step < WARM_UP else DROPOUT
        torch.manual_seed(SEED + step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        rows = batch(text, step)
        logits = model(rows[:, :-1], use_cache=False).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state["losses"].append(loss.item())
        if (step + 1) % EVALUATE_EVERY == 0:
            model.eval()
            point = {
                "step": step + 1,
                "seconds": round(time.monotonic() - started),
                "training": round(sum(state["losses"][-EVALUATE_EVERY:]) / EVALUATE_EVERY, 4),
                "validation": round(mean_loss(model, validation), 4),
            }
            print(point, flush=True)
            state["curve"].append(point)
            weights = {name: value.clone() for name, value in model.state_dict().items()}
            if state["best"] is None or point["validation"] < state["best"]["validation"]:
                state["best"] = {"step": step + 1, "validation": point["validation"], "model": weights}
            state |= {"step": step + 1, "seconds": time.monotonic() - started}
            state |= {"model": weights, "optimizer": optimizer.state_dict()}
            STATE.parent.mkdir(parents=True, exist_ok=True)
            torch.save(state, STATE.with_suffix(".new"))
            STATE.with_suffix(".new").replace(STATE)
    return state


def byte_tokenizer() -> dict[str, object]:
    """A tokenizer.json whose ids are the bytes of UTF-8: byte-level BPE without merges."""
    # The characters that stand for bytes in byte-level BPE: printable ones for themselves, the others from U+0100 on.
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    vocabulary = {chr(byte if byte in printable else 0x100 + others.index(byte)): byte for byte in range(256)}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None}
    model |= {"end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": model | {"vocab": vocabulary, "merges": []},
    }


def export(state: dict[str, object]) -> None:
    model = new_model().eval()
    model.load_state_dict(state["best"]["model"])
    model.to(torch.float16).save_pretrained(FOLDER)
    # No id ends a text, and nothing else is to be said about generation.
    (FOLDER / "generation_config.json").unlink()
    (FOLDER / "model.safetensors").chmod(0o644)
    (FOLDER / "tokenizer.json").write_text(json.dumps(byte_tokenizer(), ensure_ascii=False) + "\n")

    # What is measured is the stored checkpoint, rounded weights and all, computed in f32.
    stored = LlamaForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    made_by = provenance("train_tiny_byte_model.py", torch, transformers)
    passages, length = HELD_OUT
    write_json(
        FOLDER / "training-log.json",
        {
            "madeBy": made_by,
            "seed": SEED,
            "parameters": sum(parameter.numel() for parameter in stored.parameters()),
            "steps": STEPS,
            "bytesPerStep": BYTES_PER_STEP,
            "trainingBytes": len(training_text()),
            "seconds": round(state["seconds"]),
            "exportedStep": state["best"]["step"],
            "heldOut": {
                "passages": passages,
                "bytes": length,
                "perplexity": round(perplexity(stored, held_out_passages()), 5),
            },
            "heldOutVolume": {
                "bytes": length,
                "perplexity": round(perplexity(stored, windows(volumes()[0], length)), 5),
            },
            "curve": state["curve"],
            "warmUpLosses": [round(loss, 5) for loss in state["losses"][:WARM_UP]],
        },
    )
    write_tensors(
        ROOT / "packages" / "tiny-models" / "test" / "golden" / "persuasion-bytes.safetensors",
        golden_logits(stored),
        made_by,
    )


def main() -> None:
    torch.set_num_threads(1)
    export(train())


if __name__ == "__main__":
    main()
