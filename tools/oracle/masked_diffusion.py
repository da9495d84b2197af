"""Small random checkpoints of LLaDA and Dream, the logits of their networks, and the ids after each step of their samplers.

The published code of both is not part of transformers, but their networks are: a Llama and a Qwen2 under a mask that hides nothing.
The samplers are written here after the papers' descriptions, with the random numbers of `@saccade/core` in place of torch's. The
mask is never chosen.

    python masked_diffusion.py
"""

import json
import shutil

import torch
import transformers
from safetensors.torch import save_file
from torch.nn import functional

from golden_files import MODELS_GOLDEN, provenance, write_tensors
from philox import gumbel, uniform
from random_models import COMMON, LLAMA, QWEN, Variant, random_model

PROMPT = 9
MASK = 159
LLADA_NAMES = {
    "model.embed_tokens": "model.transformer.wte",
    "model.norm": "model.transformer.ln_f",
    "lm_head": "model.transformer.ff_out",
    "model.layers": "model.transformer.blocks",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ff_norm",
    "self_attn.o_proj": "attn_out",
    "self_attn.": "",
    "mlp.gate_proj": "ff_proj",
    "mlp.up_proj": "up_proj",
    "mlp.down_proj": "ff_out",
}

LLADA_CASES = {
    "greedy": {"length": 12, "blockLength": 4, "steps": 6},
    "noisy": {"length": 12, "blockLength": 6, "steps": 8, "temperature": 0.8, "seed": 3},
    "random": {"length": 10, "blockLength": 10, "steps": 4, "temperature": 0.5, "algorithm": "random", "seed": 4},
    "guided": {"length": 8, "blockLength": 4, "steps": 4, "guidance": 1.5},
}
DREAM_CASES = {
    "maskgit": {"length": 14, "steps": 5, "algorithm": "maskgit-plus", "temperature": 0.7, "topP": 0.9, "seed": 5},
    "entropy": {"length": 14, "steps": 6, "temperature": 0.3, "algorithmTemperature": 0.5, "seed": 6},
    "margin": {"length": 9, "steps": 4, "algorithm": "top-k-margin"},
    "origin": {"length": 14, "steps": 5, "algorithm": "origin", "temperature": 1.0, "seed": 7},
}


def network(model: transformers.PreTrainedModel):
    """ids [B, N] -> logits [B, N, V] under a mask that hides nothing."""

    def run(ids: torch.Tensor) -> torch.Tensor:
        count = ids.shape[1]
        return model(ids, attention_mask=torch.zeros(len(ids), 1, count, count), use_cache=False).logits

    return run


def without_mask(logits: torch.Tensor) -> torch.Tensor:
    return logits.index_fill(-1, torch.tensor([MASK]), -torch.inf)


def noise(shape: torch.Size, seed: int, stream: int) -> torch.Tensor:
    return torch.from_numpy(gumbel(shape.numel(), seed, stream)).reshape(shape)


def llada_steps(run, prompt: torch.Tensor, case: dict[str, object]) -> torch.Tensor:
    """LLaDA: block after block, as many tokens in each step; noise of the temperature, confidence without it. i32 [steps, N]"""
    length, block, steps = case["length"], case["blockLength"], case["steps"]
    temperature, seed, guidance = case.get("temperature", 0.0), case.get("seed", 0), case.get("guidance", 0.0)
    x = torch.cat([prompt, torch.full((length,), MASK)])
    seen, blocks = [], length // block
    for number in range(blocks):
        first = len(prompt) + number * block
        per_block = steps // blocks
        for step in range(per_block):
            logits = run(x[None])[0]
            if guidance > 0:
                hidden = x.clone()
                hidden[: len(prompt)] = MASK
                free = run(hidden[None])[0]
                logits = free + (guidance + 1) * (logits - free)
            logits = without_mask(logits)[first : first + block].double()
            index = len(seen)
            chosen = logits + temperature * noise(logits.shape, seed, 2 * index) if temperature > 0 else logits
            tokens = chosen.argmax(dim=-1)
            if case.get("algorithm") == "random":
                confidence = torch.from_numpy(uniform(block, seed, 2 * index + 1)).double()
            else:
                confidence = functional.softmax(logits, dim=-1).gather(1, tokens[:, None])[:, 0]
            masked = x[first : first + block] == MASK
            confidence = torch.where(masked, confidence, -torch.inf)
            count = block // per_block + int(step < block % per_block)
            places = confidence.topk(count).indices
            x[first + places] = tokens[places]
            seen.append(x.clone())
    return torch.stack(seen).int()


def top_p(logits: torch.Tensor, p: float) -> torch.Tensor:
    ordered, places = logits.sort(descending=True)
    reached = functional.softmax(ordered, dim=-1).cumsum(dim=-1)
    removed = reached > p
    removed[:, 1:] = removed[:, :-1].clone()
    removed[:, 0] = False
    return logits.masked_fill(torch.zeros_like(removed).scatter(1, places, removed), -torch.inf)


def dream_steps(run, prompt: torch.Tensor, case: dict[str, object]) -> torch.Tensor:
    """Dream: times fall evenly to 1e-3; logits of the position before; what is sampled from also says how sure. i32 [steps, N]"""
    length, steps, algorithm = case["length"], case["steps"], case.get("algorithm", "entropy")
    temperature, seed = case.get("temperature", 0.0), case.get("seed", 0)
    x = torch.cat([prompt, torch.full((length,), MASK)])
    times = torch.linspace(1, 1e-3, steps + 1)
    first, seen = len(prompt), []
    for step in range(steps):
        logits = run(x[None])[0]
        logits = without_mask(torch.cat([logits[:1], logits[:-1]]))[first:].double()
        if temperature > 0:
            logits = logits / temperature
        if case.get("topP", 1.0) < 1:
            logits = top_p(logits, case["topP"])
        probabilities = functional.softmax(logits, dim=-1)
        chosen = logits + noise(logits.shape, seed, 2 * step) if temperature > 0 else logits
        tokens = chosen.argmax(dim=-1)
        masked = x[first:] == MASK
        share = 1 - times[step + 1] / times[step] if step < steps - 1 else torch.tensor(1.0)
        if algorithm == "origin":
            drawn = torch.from_numpy(uniform(length, seed, 2 * step + 1))
            places = (masked & (drawn < share)).nonzero()[:, 0]
        else:
            if algorithm == "maskgit-plus":
                confidence = probabilities.gather(1, tokens[:, None])[:, 0]
            elif algorithm == "top-k-margin":
                two = probabilities.topk(2).values
                confidence = two[:, 0] - two[:, 1]
            else:
                confidence = (probabilities * (probabilities + 1e-10).log()).sum(dim=-1)
            if case.get("algorithmTemperature", 0) > 0:
                drawn = torch.from_numpy(gumbel(length, seed, 2 * step + 1))
                confidence = confidence / case["algorithmTemperature"] + drawn
            confidence = torch.where(masked, confidence, -torch.inf)
            places = confidence.topk(int(masked.sum().float() * share)).indices
        x[first + places] = tokens[places]
        seen.append(x.clone())
    return torch.stack(seen).int()


def write(name: str, config: dict[str, object], weights: dict[str, torch.Tensor], golden: dict[str, torch.Tensor]) -> None:
    folder = MODELS_GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file({key: value.contiguous() for key, value in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    write_tensors(folder / "golden.safetensors", golden, provenance("masked_diffusion.py", torch, transformers))


@torch.no_grad()
def make(name: str, variant: Variant, seed: int, config: dict[str, object], names: dict[str, str], steps, cases) -> None:
    model = random_model(variant, seed)
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, MASK, (PROMPT + 8,), generator=generator)
    ids[11:14] = MASK
    stored = {}
    for key, value in model.state_dict().items():
        value.copy_(value.bfloat16())
        for old, new in names.items():
            key = key.replace(old, new)
        stored[key] = value.bfloat16()
    run = network(model)
    golden = {"input_ids": ids.int(), "logits": run(ids[None])[0]}
    for case, options in cases.items():
        golden[f"{case}.ids"] = steps(run, ids[:PROMPT], options)
    write(name, config, stored, golden)


def main() -> None:
    torch.set_num_threads(1)
    untied = {"tie_word_embeddings": False, "num_key_value_heads": 4}
    make(
        "llada-bf16",
        Variant("LlamaForCausalLM", LLAMA | untied),
        301,
        {
            "architectures": ["LLaDAModelLM"],
            "model_type": "llada",
            "activation_type": "silu",
            "alibi": False,
            "block_type": "llama",
            "d_model": COMMON["hidden_size"],
            "embedding_size": COMMON["vocab_size"],
            "vocab_size": COMMON["vocab_size"],
            "include_bias": False,
            "include_qkv_bias": False,
            "layer_norm_type": "rms",
            "mask_token_id": MASK,
            "max_sequence_length": COMMON["max_position_embeddings"],
            "mlp_hidden_size": COMMON["intermediate_size"],
            "n_heads": COMMON["num_attention_heads"],
            "n_kv_heads": None,
            "n_layers": COMMON["num_hidden_layers"],
            "rms_norm_eps": COMMON["rms_norm_eps"],
            "rope": True,
            "rope_theta": 10000.0,
            "weight_tying": False,
            "eos_token_id": 2,
        },
        LLADA_NAMES,
        llada_steps,
        LLADA_CASES,
    )
    qwen = QWEN | {"tie_word_embeddings": False, "bos_token_id": None}
    make(
        "dream-bf16",
        Variant("Qwen2ForCausalLM", qwen),
        302,
        {name: value for name, value in qwen.items() if name != "rope_parameters"}
        | {
            "architectures": ["DreamModel"],
            "model_type": "Dream",
            "hidden_act": "silu",
            "mask_token_id": MASK,
            "rope_theta": 1000000.0,
            "rope_scaling": None,
            "use_sliding_window": False,
            "sliding_window": None,
        },
        {},
        dream_steps,
        DREAM_CASES,
    )


if __name__ == "__main__":
    main()
