"""Greedy continuations of the real model by transformers in f32: 32 tokens on three prompts, top five logits per step."""

import torch
import transformers
from jinja2 import Environment
from transformers import AutoModelForCausalLM

from golden_files import MODELS_GOLDEN, provenance, write_json
from smollm2_model import FILE, FOLDER, chat_template, load_tokenizer

STEPS = 32
TOP = 5
PROMPTS = [
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


@torch.no_grad()
def continuation(model: torch.nn.Module, ids: list[int]) -> list[dict[str, object]]:
    steps = []
    inputs, cache = torch.tensor([ids]), None
    for _ in range(STEPS):
        result = model(inputs, past_key_values=cache, use_cache=True)
        cache = result.past_key_values
        top = result.logits[0, -1].topk(TOP)
        steps.append({"ids": top.indices.tolist(), "logits": [round(value, 5) for value in top.values.tolist()]})
        # Greedy to the end, past an end-of-text token too.
        inputs = top.indices[:1].reshape(1, 1)
    return steps


def main() -> None:
    tokenizer = load_tokenizer()
    # The settings with which transformers renders chat templates.
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(chat_template())
    model = AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file=FILE, dtype=torch.float32).eval()
    assert next(model.parameters()).dtype == torch.float32
    prompts = []
    for messages in PROMPTS:
        text = template.render(messages=messages, add_generation_prompt=True)
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        steps = continuation(model, ids)
        greedy = [step["ids"][0] for step in steps]
        print(repr(tokenizer.decode(greedy, skip_special_tokens=False)))
        prompts.append({"messages": messages, "text": text, "promptIds": ids, "greedyIds": greedy, "steps": steps})
    made_by = provenance("smollm2_greedy.py", torch, transformers)
    write_json(MODELS_GOLDEN / "smollm2-greedy.json", {"madeBy": made_by, "file": FILE, "prompts": prompts})


if __name__ == "__main__":
    main()
