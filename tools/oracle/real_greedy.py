"""Greedy continuations of real models by transformers in f32: 32 tokens on three prompts, top five logits per step.

    python real_greedy.py              # all
    python real_greedy.py gemma3-270m  # one
"""

import os
import sys
from pathlib import Path

import torch
import transformers
from jinja2 import Environment
from transformers import AutoModelForCausalLM, AutoTokenizer

import smollm2_model
from golden_files import MODELS_GOLDEN, provenance, write_json

STEPS = 32
TOP = 5
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "saccade" / "models"

CHATS = [
    [{"role": "user", "content": "What is the capital of France?"}],
    [
        {"role": "system", "content": "You are a terse assistant."},
        {"role": "user", "content": "Write a Python function that returns the n-th Fibonacci number."},
    ],
    [
        {"role": "user", "content": "Name three colours of the rainbow."},
        {"role": "assistant", "content": "Red, green and violet."},
        {"role": "user", "content": "And two more, please. It is 2024: use the new names!"},
    ],
]

# A base model continues texts.
TEXTS = [
    "The capital of France is",
    "def fibonacci(n):\n    ",
    "Once upon a time there was a lighthouse keeper who counted the ships that passed. One evening",
]


def smollm2_prompts() -> list[dict[str, object]]:
    tokenizer = smollm2_model.load_tokenizer()
    # The settings with which transformers renders chat templates.
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(smollm2_model.chat_template())
    prompts = []
    for messages in CHATS:
        text = template.render(messages=messages, add_generation_prompt=True)
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        prompts.append({"messages": messages, "text": text, "promptIds": ids})
    return prompts


def gemma3_prompts(folder: Path, file: str) -> list[dict[str, object]]:
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    prompts = []
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        prompts.append({"text": text, "promptIds": ids})
    return prompts


@torch.no_grad()
def continuation(model: torch.nn.Module, ids: list[int]) -> list[dict[str, object]]:
    steps = []
    inputs, cache = torch.tensor([ids]), None
    for _ in range(STEPS):
        result = model(inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = result.past_key_values
        top = result.logits[0, -1].topk(TOP)
        steps.append({"ids": top.indices.tolist(), "logits": [round(value, 5) for value in top.values.tolist()]})
        # Greedy to the end, past an end-of-text token too.
        inputs = top.indices[:1].reshape(1, 1)
    return steps


def write_golden(name: str, folder: Path, file: str, prompts: list[dict[str, object]]) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()
    assert next(model.parameters()).dtype == torch.float32
    for prompt in prompts:
        prompt["steps"] = continuation(model, prompt["promptIds"])
        prompt["greedyIds"] = [step["ids"][0] for step in prompt["steps"]]
        print(repr(prompt["text"]), prompt["greedyIds"])
    made_by = provenance("real_greedy.py", torch, transformers)
    write_json(MODELS_GOLDEN / f"{name}-greedy.json", {"madeBy": made_by, "file": file, "prompts": prompts})


def main() -> None:
    chosen = sys.argv[1:] or ["smollm2", "gemma3-270m"]
    if "smollm2" in chosen:
        write_golden("smollm2", smollm2_model.FOLDER, smollm2_model.FILE, smollm2_prompts())
    if "gemma3-270m" in chosen:
        folder, file = CACHE / "google--gemma-3-270m", "gemma-3-270m-q4_k_m.gguf"
        write_golden("gemma3-270m", folder, file, gemma3_prompts(folder, file))


if __name__ == "__main__":
    main()
