"""Trains small models on associative recall, and writes what each recalls.

Recall against state size as in figure 2 of the Based paper, at a size that a processor trains in a minute a model: all parameters and batches
are those that `npx pnpm bench run training/mqar` draws from the same seeds. Runs that are in the log are not repeated.

    OMP_NUM_THREADS=1 nice -n 19 python recall_tradeoff.py
"""

import itertools
import json
import math
import os
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from based_model import BasedModel
from golden_files import ROOT, provenance, write_json
from recall_task import IGNORED, associative_recall

VOCABULARY, SIZE = 256, 64
TOKENS = 2048
STEPS, WARM_UP = 1000, 50
# Of two runs the one with the lower loss over its last steps counts: batches are never seen twice.
LEARNING_RATES, LAST_STEPS = (1e-2, 5e-3), 60
# Few pairs first: from the mixture alone, no model leaves the plateau in so few steps.
EASY_STEPS = 400
TASKS = [(64, 4), (64, 8), (64, 16), (128, 4), (128, 8), (128, 16)]
TEST_EXAMPLES, TEST_SEED = 64, 2**32
SEEDS = (1, 2, 3)
# Mixer, feature size, window size.
MODELS = [("attention", 16, 16), ("linear", 16, 16), ("based", 16, 16), ("window", 16, 16), ("linear", 8, 16)]
GOLDEN_STEPS = 50
LOG = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "saccade" / "recall-tradeoff.jsonl"
GOLDEN = ROOT / "apps" / "bench" / "test" / "golden" / "recall-losses.json"


def layers_of(mixer: str) -> list[str]:
    first, second = ("linear", "window") if mixer == "based" else (mixer, mixer)
    return ["conv", first, "conv", second]


def rate(step: int) -> float:
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / (STEPS - WARM_UP)))


def train(mixer: str, feature_dim: int, window: int, seed: int, learning_rate: float) -> tuple[BasedModel, list[float]]:
    model = BasedModel(seed, layers_of(mixer), VOCABULARY, SIZE, feature_dim, window)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1)
    losses = []
    for step in range(STEPS):
        length, pairs = TASKS[0] if step < EASY_STEPS else TASKS[step % len(TASKS)]
        inputs, targets = associative_recall(VOCABULARY, length, pairs, TOKENS // length, seed, step)
        loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * rate(step)
        optimizer.step()
        losses.append(loss.item())
    return model, losses


def accuracy(model: BasedModel, length: int, pairs: int) -> float:
    inputs, targets = associative_recall(VOCABULARY, length, pairs, TEST_EXAMPLES, TEST_SEED, length * 1000 + pairs)
    with torch.no_grad():
        said = model(inputs).argmax(-1)
    return (said == targets)[targets != IGNORED].float().mean().item()


def main() -> None:
    torch.set_num_threads(1)
    LOG.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in LOG.read_text().splitlines()] if LOG.exists() else []
    for learning_rate, seed, (mixer, feature_dim, window) in itertools.product(LEARNING_RATES, SEEDS, MODELS):
        key = {
            "mixer": mixer,
            "featureDim": feature_dim,
            "windowSize": window,
            "seed": seed,
            "learningRate": learning_rate,
        }
        if any(all(run[name] == value for name, value in key.items()) for run in done):
            continue
        start = time.process_time()
        model, losses = train(mixer, feature_dim, window, seed, learning_rate)
        scores = {f"{length}/{pairs}": round(accuracy(model, length, pairs), 4) for length, pairs in TASKS}
        run = {**key, "accuracy": scores, "losses": losses, "seconds": round(time.process_time() - start)}
        with LOG.open("a") as log:
            log.write(json.dumps(run) + "\n")
        done.append(run)
        print({**key, **scores, "seconds": run["seconds"]}, flush=True)
    write_json(GOLDEN, {"made_by": provenance("recall_tradeoff.py", torch), **first_losses(done)})
    summarize(done)


def first_losses(runs: list[dict]) -> dict[str, list[float]]:
    chosen = {"seed": SEEDS[0], "learningRate": LEARNING_RATES[0], "featureDim": 16, "windowSize": 16}
    return {
        run["mixer"]: run["losses"][:GOLDEN_STEPS]
        for run in runs
        if all(run[name] == value for name, value in chosen.items())
    }


def summarize(runs: list[dict]) -> None:
    """Mean and range of the accuracies over the seeds, each with its better learning rate."""
    for mixer, feature_dim, window in MODELS:
        best = []
        for seed in SEEDS:
            own = [
                run
                for run in runs
                if (run["mixer"], run["featureDim"], run["windowSize"], run["seed"])
                == (mixer, feature_dim, window, seed)
            ]
            best.append(min(own, key=lambda run: sum(run["losses"][-LAST_STEPS:])))
        print(f"{mixer} f={feature_dim} window={window}, rates {[run['learningRate'] for run in best]}")
        for length, pairs in TASKS:
            scores = [run["accuracy"][f"{length}/{pairs}"] for run in best]
            print(f"  {length}/{pairs}: {sum(scores) / len(scores):.3f} [{min(scores):.3f}, {max(scores):.3f}]")


if __name__ == "__main__":
    main()
