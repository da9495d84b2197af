"""Trains the models with and without an output gate that `@saccade/gated-attention` reports on: three seeds, equal parameters.

One thread, about three minutes of processor time a run on the novel and half a minute on the other task. It stops and resumes anywhere:
states, initial and final weights are kept in ~/.cache/saccade/gated-attention. Runs of one seed see the same batches.

    OMP_NUM_THREADS=1 nice -n 19 python train_gated_attention.py [novel|backcopy] [none|elementwise|headwise ...] [1|2|3 ...]
"""

import json
import math
import os
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from gated_attention_model import TASKS, Backcopy, GatedLm, Novel

SEEDS = (1, 2, 3)
STEPS = {"novel": 700, "backcopy": 1000}
ROWS = {"novel": 4, "backcopy": 16}
PEAK_RATE, FLOOR = 3e-3, 0.05
WARM_UP = 100
BETAS = (0.9, 0.95)
WEIGHT_DECAY = {"novel": 0.1, "backcopy": 0.0}
SAVE_EVERY = 100
# The first batches and losses are kept, so that another implementation can repeat them.
KEPT_STEPS = 20
FOLDER = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "saccade" / "gated-attention"


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine; that of the core's cosineSchedule."""
    if step < WARM_UP:
        return PEAK_RATE * (step + 1) / WARM_UP
    done = (step - WARM_UP) / (steps - WARM_UP)
    return PEAK_RATE * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * done)))


def batch(task: Novel | Backcopy, seed: int, step: int) -> torch.Tensor:
    return task.batch(torch.Generator().manual_seed(1_000_000 * seed + step), ROWS[task.name])


def optimizer_of(model: GatedLm, weight_decay: float) -> torch.optim.AdamW:
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK_RATE, betas=BETAS, fused=True)


@torch.no_grad()
def held_out_loss(model: GatedLm, rows: torch.Tensor) -> float:
    return sum(model.loss(part).item() * len(part) for part in rows.split(20)) / len(rows)


def store(path: Path, state: dict[str, object]) -> None:
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def weights(model: GatedLm) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}


def run(task: Novel | Backcopy, gate: str | None, seed: int) -> None:
    name = f"{task.name}-{gate or 'none'}-{seed}"
    if (FOLDER / f"{name}.safetensors").exists():
        return
    torch.manual_seed(seed)
    model = GatedLm(task.sizes, gate)
    optimizer = optimizer_of(model, WEIGHT_DECAY[task.name])
    held_out, steps = task.held_out()[::4], STEPS[task.name]
    path = FOLDER / f"{name}.pt"
    state: dict[str, object] = {"step": 0, "seconds": 0.0, "losses": [], "curve": []}
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    else:
        first = {f"batches.{step}": batch(task, seed, step).int() for step in range(KEPT_STEPS)}
        save_file({**weights(model), **first}, FOLDER / f"{name}.initial.safetensors")
    started = time.monotonic() - state["seconds"]
    for step in range(state["step"], steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        loss = model.loss(batch(task, seed, step))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state["losses"].append(loss.item())
        if (step + 1) % SAVE_EVERY == 0:
            point = {
                "step": step + 1,
                "seconds": round(time.monotonic() - started),
                "training": round(sum(state["losses"][-SAVE_EVERY:]) / SAVE_EVERY, 4),
                "heldOut": round(held_out_loss(model, held_out), 4),
            }
            print(name, point, flush=True)
            state["curve"].append(point)
            state |= {"step": step + 1, "seconds": time.monotonic() - started}
            store(path, state | {"model": weights(model), "optimizer": optimizer.state_dict()})
    log = {"gate": gate, "seed": seed, "steps": steps, "seconds": round(state["seconds"])}
    log |= {"losses": [round(loss, 5) for loss in state["losses"]], "curve": state["curve"]}
    (FOLDER / f"{name}.json").write_text(json.dumps(log))
    save_file(weights(model), FOLDER / f"{name}.safetensors")


def main() -> None:
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    tasks = [name for name in sys.argv[1:] if name in TASKS] or list(TASKS)
    seeds = [int(name) for name in sys.argv[1:] if name.isdigit()] or SEEDS
    gates = [name for name in sys.argv[1:] if name not in TASKS and not name.isdigit()] or ["none", "elementwise"]
    for task in tasks:
        for seed in seeds:
            for gate in gates:
                run(TASKS[task](), None if gate == "none" else gate, seed)


if __name__ == "__main__":
    main()
