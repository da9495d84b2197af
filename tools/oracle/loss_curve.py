"""The loss curve of a tiny Llama that PyTorch trains: initial weights, text, batches and the loss of every step, in f32.

The text is the beginning of the novel that the benchmarks ship; a byte is a token. The golden folder's README has the settings.
"""

import math

import torch
import transformers
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from golden_files import CORE_GOLDEN, ROOT, provenance, write_tensors

STEPS, ROWS, LENGTH = 200, 4, 48
TEXT_BYTES = 6_000
PEAK_RATE, FINAL_SHARE, WARM_UP = 1e-3, 0.1, 10

CONFIG = LlamaConfig(
    vocab_size=128,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=LENGTH,
    rms_norm_eps=1e-5,
    tie_word_embeddings=True,
    rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    bos_token_id=None,
    eos_token_id=None,
    pad_token_id=None,
)


def rate(step: int) -> float:
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    done = (step - WARM_UP) / (STEPS - WARM_UP)
    return FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * done))


def main() -> None:
    torch.manual_seed(11)
    torch.set_num_threads(1)
    text = torch.tensor(list((ROOT / "apps" / "bench" / "data" / "persuasion.txt").read_bytes()[:TEXT_BYTES]))
    starts = torch.randint(0, TEXT_BYTES - LENGTH, (STEPS, ROWS))
    model = LlamaForCausalLM(CONFIG)
    initial = {name: value.clone() for name, value in model.state_dict().items() if name != "lm_head.weight"}
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98), eps=1e-8)
    losses, norms = [], []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * rate(step)
        rows = torch.stack([text[start : start + LENGTH + 1] for start in starts[step].tolist()])
        logits = model(rows[:, :-1], use_cache=False).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        optimizer.step()
        losses.append(loss.item())
    print(losses[:3], losses[-3:])
    tensors = {f"initial.{name}": value for name, value in initial.items()}
    tensors |= {"text": text.int(), "starts": starts.int()}
    tensors |= {"losses": torch.tensor(losses), "norms": torch.tensor(norms)}
    write_tensors(CORE_GOLDEN / "loss-curve.safetensors", tensors, provenance("loss_curve.py", torch, transformers))


if __name__ == "__main__":
    main()
