"""Trains the tiny masked-diffusion language model of packages/tiny-models, and writes its checkpoint, its log and golden logits.

It is made of the tiny byte model as Dream was made of Qwen2.5: the causal mask falls away, one id more stands for a masked byte, and
logits still tell the byte behind. Loss and masks are LLaDA's. Batches and masks come from the core's random numbers, so that other code can
repeat the losses.

One thread, about 35 minutes of processor time. It stops and resumes anywhere: the state is kept in ~/.cache/saccade/tiny-models.

    OMP_NUM_THREADS=1 nice -n 5 python train_tiny_masked_diffusion.py
"""

import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from golden_files import ROOT, provenance, write_json, write_tensors
from philox import RandomStream, uniform
from tiny_byte_model import CONFIG as BYTE_MODEL
from tiny_byte_model import CONTEXT, held_out_passages, training_text, validation_text, windows
from tiny_byte_model import FOLDER as BYTE_MODEL_FOLDER
from train_tiny_byte_model import byte_tokenizer

FOLDER = ROOT / "packages" / "tiny-models" / "checkpoints" / "persuasion-diffusion"
MASK = 256
SEED = 2028
# Seeds of the places and the masks of training, and of the masks under which losses are measured.
PLACES, MASKS, MEASURED = SEED + 1, SEED + 2, SEED + 3
# Of the peak rate, from these steps on, in straight lines between them; the share of the averaged weights that a step keeps.
RATES = ((0, 19, 300, 399, 400, 1600, 3050, 4000), (0.05, 1, 1, 0.01, 1, 1, 0.67, 0))
KEPT = ((0, 0.98), (400, 0.999))
STEPS = RATES[0][-1]
BYTES_PER_STEP = 1024
ROW_LENGTHS = (256, 256, 256, 256, 256, 256, 256, CONTEXT)
PEAK_RATE = 1e-3
# Least share of masked tokens, so that no loss is divided by nothing.
LEAST_MASKED = 1e-3
EVALUATE_EVERY = 50
# Masks of each measured row.
DRAWS = 4
STATE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "saccade" / "tiny-models" / "persuasion-diffusion.pt"


class MaskedDiffusion(nn.Module):
    """ids [B, N] -> logits [B, N, V] of every place's own token."""

    def __init__(self) -> None:
        super().__init__()
        self.network = LlamaForCausalLM(LlamaConfig(**(BYTE_MODEL.to_diff_dict() | {"vocab_size": MASK + 1})))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        nothing_hidden = torch.zeros(1, 1, ids.shape[1], ids.shape[1])
        logits = self.network(ids, attention_mask=nothing_hidden, use_cache=False).logits
        return torch.cat([logits[:, :1], logits[:, :-1]], dim=1)


def new_model() -> MaskedDiffusion:
    """The byte model; the mask's embedding is the mean of the others."""
    model = MaskedDiffusion()
    weights = {name: value.float() for name, value in load_file(BYTE_MODEL_FOLDER / "model.safetensors").items()}
    table = weights["model.embed_tokens.weight"]
    weights["model.embed_tokens.weight"] = torch.cat([table, table.mean(dim=0, keepdim=True)])
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.network.load_state_dict(weights)
    return model


def learning_rate(step: int) -> float:
    return PEAK_RATE * float(np.interp(step, *RATES))


def batch(text: torch.Tensor, step: int) -> torch.Tensor:
    length = ROW_LENGTHS[step % len(ROW_LENGTHS)]
    stream = RandomStream(PLACES, step, 32)
    starts = [stream.integer(len(text) - length) for _ in range(BYTES_PER_STEP // length)]
    return torch.stack([text[start : start + length] for start in starts])


def masked(rows: torch.Tensor, seed: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Rows [B, N] with tokens masked, each with its row's chance, and these chances [B].

    The chances of the rows lie one in each of B equal parts of (0, 1).
    """
    count, length = rows.shape
    stream = RandomStream(seed, step, 64)
    times = np.array([(index + stream.next()) / count for index in range(count)])
    chances = (1 - LEAST_MASKED) * times + LEAST_MASKED
    drawn = uniform(count * length, seed, step).reshape(count, length)
    hidden = torch.from_numpy(drawn < chances[:, None].astype(np.float32))
    return rows.masked_fill(hidden, MASK), torch.from_numpy(chances.astype(np.float32))


def diffusion_loss(model: nn.Module, rows: torch.Tensor, seed: int, step: int) -> torch.Tensor:
    """Nats per token: the bound of LLaDA, cross-entropy at masked places over the chance of being masked."""
    given, chances = masked(rows, seed, step)
    hidden = given == MASK
    losses = functional.cross_entropy(model(given)[hidden], rows[hidden], reduction="none")
    return (losses / chances[:, None].expand(rows.shape)[hidden]).sum() / rows.numel()


@torch.no_grad()
def measured(model: nn.Module, rows: torch.Tensor) -> float:
    """Nats per byte of rows, their chances of being masked spread evenly, each row masked several times."""
    losses = [diffusion_loss(model, rows, MEASURED, draw).item() for draw in range(DRAWS)]
    return sum(losses) / DRAWS


def train() -> dict[str, object]:
    model, average = new_model(), new_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    state: dict[str, object] = {"step": 0, "seconds": 0.0, "losses": [], "curve": []}
    if STATE.exists():
        state = torch.load(STATE, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
    text, validation = training_text(), windows(validation_text(), 512)[:8]
    started = time.monotonic() - state["seconds"]
    for step in range(state["step"], STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        loss = diffusion_loss(model, batch(text, step), MASKS, step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            kept = min(next(share for first, share in reversed(KEPT) if step >= first), (step + 1) / (step + 10))
            for mean, value in zip(average.parameters(), model.parameters()):
                mean.lerp_(value, 1 - kept)
        state["losses"].append(loss.item())
        if (step + 1) % EVALUATE_EVERY == 0:
            point = {"step": step + 1, "seconds": round(time.monotonic() - started)}
            point |= {"training": round(sum(state["losses"][-EVALUATE_EVERY:]) / EVALUATE_EVERY, 4)}
            if (step + 1) % (4 * EVALUATE_EVERY) == 0:
                point |= {"validation": round(measured(average, validation), 4)}
            print(point, flush=True)
            state["curve"].append(point)
            state |= {"step": step + 1, "seconds": time.monotonic() - started}
            state |= {"model": model.state_dict(), "average": average.state_dict()}
            state |= {"optimizer": optimizer.state_dict()}
            STATE.parent.mkdir(parents=True, exist_ok=True)
            torch.save(state, STATE.with_suffix(".new"))
            STATE.with_suffix(".new").replace(STATE)
    return state


def config() -> dict[str, object]:
    """As config.json of Dream has it."""
    return {
        "architectures": ["DreamModel"],
        "model_type": "Dream",
        "hidden_act": "silu",
        "hidden_size": BYTE_MODEL.hidden_size,
        "intermediate_size": BYTE_MODEL.intermediate_size,
        "mask_token_id": MASK,
        "max_position_embeddings": CONTEXT,
        "num_attention_heads": BYTE_MODEL.num_attention_heads,
        "num_hidden_layers": BYTE_MODEL.num_hidden_layers,
        "num_key_value_heads": BYTE_MODEL.num_key_value_heads,
        "rms_norm_eps": 0.00001,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "vocab_size": MASK + 1,
    }


def stored_weights(average: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names and dtype of the checkpoint. Dream's projections have biases; here they are nothing."""
    weights = {name.removeprefix("network."): value.half().contiguous() for name, value in average.items()}
    del weights["lm_head.weight"]
    for name, value in list(weights.items()):
        if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
            weights[name.replace("weight", "bias")] = torch.zeros(len(value), dtype=torch.float16)
    return weights


def export(state: dict[str, object]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    weights = stored_weights(state["average"])
    save_file(weights, FOLDER / "model.safetensors", metadata={"format": "pt"})
    (FOLDER / "model.safetensors").chmod(0o644)
    (FOLDER / "config.json").write_text(json.dumps(config(), indent=2) + "\n")
    tokenizer = byte_tokenizer()
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tokenizer["added_tokens"] = [{"id": MASK, "content": "<|mask|>", **special}]
    (FOLDER / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False) + "\n")

    # What is measured is the stored checkpoint, rounded weights and all, computed in f32.
    stored = MaskedDiffusion().eval()
    stored.load_state_dict({name: value.half().float() for name, value in state["average"].items()})
    made_by = provenance("train_tiny_masked_diffusion.py", torch, transformers)
    passages = held_out_passages()
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
            "heldOut": {
                "passages": len(passages),
                "bytes": passages.shape[1],
                "masksOfEach": DRAWS,
                "nats": round(measured(stored, passages), 5),
                "natsAtFirst": round(measured(new_model(), passages), 5),
            },
            "curve": state["curve"],
            "firstLosses": [round(loss, 5) for loss in state["losses"][:100]],
        },
    )
    given, _ = masked(passages[1:2, :48], MEASURED, 0)
    with torch.no_grad():
        logits = stored.network(given, attention_mask=torch.zeros(1, 1, 48, 48), use_cache=False).logits[0]
    write_tensors(
        ROOT / "packages" / "tiny-models" / "test" / "golden" / "persuasion-diffusion.safetensors",
        {"input_ids": given[0].to(torch.int32), "logits": logits},
        made_by,
    )


def main() -> None:
    torch.set_num_threads(1)
    export(train())


if __name__ == "__main__":
    main()
