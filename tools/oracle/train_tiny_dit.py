"""Trains the tiny diffusion transformer of packages/tiny-models on pictures that a seed draws, and writes its checkpoint and log.

Pixel space, diffusers' `DiTTransformer2DModel`, v-prediction on the cosine schedule, labels dropped for guidance. First at half
the size, which teaches what is where at a quarter of the cost, then at full size. Initial weights, pictures, noise and
timesteps come from the core's random numbers, so that other code can repeat the first losses without any file.

One thread, about 80 minutes. It stops and resumes anywhere: the state is kept in ~/.cache/saccade/tiny-models.

    OMP_NUM_THREADS=1 nice -n 5 python train_tiny_dit.py
"""

import os
import time
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import DDIMScheduler, DiTTransformer2DModel
from PIL import Image

from golden_files import ROOT, provenance, write_json, write_tensors
from philox import RandomStream, normal
from tiny_shapes import CLASSES, SIZE, choices, draw, grid, halved

SEED = 2027
# Seeds of what is drawn besides the weights; held-out pictures have their own.
PICTURES, TIMES, NOISE, HELD_OUT_SEED = SEED + 1, SEED + 2, SEED + 3, SEED + 4
# (side of the picture, pictures of a step, steps, learning rate, steps at the end over which it falls to nothing, share of the
# averaged weights that a step keeps)
STAGES = ((16, 16, 1600, 1e-3, 0, 0.998), (32, 8, 400, 6e-4, 100, 0.99), (32, 8, 1600, 6e-4, 1200, 0.998))
STEPS = sum(stage[2] for stage in STAGES)
WARM_UP = 50
DROPPED_LABELS = 0.1
SAVE_EVERY = 100
TIMESTEPS = 1000
FOLDER = ROOT / "packages" / "tiny-models" / "checkpoints" / "shapes-dit"
STATE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "saccade" / "tiny-models" / "shapes-dit.pt"

SCHEDULER = DDIMScheduler(
    num_train_timesteps=TIMESTEPS,
    beta_schedule="squaredcos_cap_v2",
    prediction_type="v_prediction",
    timestep_spacing="trailing",
    clip_sample=True,
    set_alpha_to_one=True,
)


def new_model() -> DiTTransformer2DModel:
    """Never in training mode: the blocks would each drop labels of their own."""
    model = DiTTransformer2DModel(
        num_attention_heads=5,
        attention_head_dim=32,
        in_channels=3,
        num_layers=8,
        sample_size=SIZE,
        patch_size=2,
        num_embeds_ada_norm=len(CLASSES),
    ).eval()
    with torch.no_grad():
        for index, (name, value) in enumerate(sorted(model.named_parameters())):
            closed = any(part in name for part in ("norm1.linear", "proj_out_1", "proj_out_2"))
            if closed or value.dim() == 1:
                value.zero_()
            else:
                drawn = normal(value.numel(), SEED, index) / np.float32(np.sqrt(value[0].numel()))
                value.copy_(torch.from_numpy(drawn).reshape(value.shape))
    return model


def stage_of(step: int) -> tuple[int, int, int, float, float]:
    """Side, pictures of a step, the number of the step's first picture, rate before the warm-up, share that the average keeps."""
    first = 0
    for side, count, steps, rate, cooldown, kept in STAGES:
        if step < steps:
            return side, count, first + step * count, rate * min(1, (steps - step) / max(1, cooldown)), kept
        step, first = step - steps, first + steps * count
    raise ValueError("no such step")


def learning_rate(step: int) -> float:
    return stage_of(step)[3] * min(1, (step + 1) / WARM_UP)


def noised(pictures: np.ndarray, times: np.ndarray, noise: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """The noised pictures and the velocity that is to be predicted."""
    kept = SCHEDULER.alphas_cumprod.numpy()[times][:, None, None, None]
    signal, rest = np.sqrt(kept), np.sqrt(1 - kept)
    return torch.from_numpy(signal * pictures + rest * noise), torch.from_numpy(signal * noise - rest * pictures)


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noised pictures, timesteps, labels (the last of them for dropped ones), velocities."""
    side, count, first, *_ = stage_of(step)
    labels, rows = choices(PICTURES, first, count)
    pictures = draw(labels, rows)
    if side < SIZE:
        pictures = halved(pictures)
    stream = RandomStream(TIMES, step, 8 * count)
    # One timestep of each of `count` equal parts of the schedule.
    times = np.array([int((index + stream.next()) * TIMESTEPS / count) for index in range(count)])
    labels = np.array([len(CLASSES) if stream.next() < DROPPED_LABELS else label for label in labels])
    noise = normal(pictures.size, NOISE, step).reshape(pictures.shape)
    given, velocity = noised(pictures, times, noise)
    return given, torch.from_numpy(times), torch.from_numpy(labels), velocity


@torch.no_grad()
def held_out(model: DiTTransformer2DModel, count: int = 128) -> list[float]:
    """Mean squared error of the velocity over held-out pictures, in each quarter of the schedule."""
    labels, rows = choices(HELD_OUT_SEED, 0, count)
    pictures = draw(labels, rows)
    times = np.arange(count) * TIMESTEPS // count
    noise = normal(pictures.size, HELD_OUT_SEED, 0).reshape(pictures.shape)
    given, velocity = noised(pictures, times, noise)
    errors = []
    for part in np.split(np.arange(count), 4):
        out = model(given[part], torch.from_numpy(times[part]), torch.from_numpy(labels[part])).sample
        errors.append(round((out - velocity[part]).square().mean().item(), 5))
    return errors


@torch.no_grad()
def sample(model: DiTTransformer2DModel, labels: list[int], steps: int, guidance: float) -> np.ndarray:
    """Pictures of the classes by DDIM, all from one sequence of noise of the seed 0."""
    scheduler = DDIMScheduler.from_config(SCHEDULER.config)
    scheduler.set_timesteps(steps)
    x = torch.from_numpy(normal(len(labels) * 3 * SIZE * SIZE, 0, 0).reshape(-1, 3, SIZE, SIZE))
    both = torch.tensor([*labels, *[len(CLASSES)] * len(labels)])
    for time_ in scheduler.timesteps:
        velocity, free = model(torch.cat([x, x]), time_.expand(len(both)), both).sample.chunk(2)
        x = scheduler.step(free + guidance * (velocity - free), time_, x).prev_sample
    return x.numpy()


def show(model: DiTTransformer2DModel, path: Path, labels: list[int]) -> None:
    Image.fromarray(grid(sample(model, labels, 20, 2.0), 8)).save(path)


def train() -> dict[str, object]:
    model, average = new_model(), new_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    state: dict[str, object] = {"step": 0, "seconds": 0.0, "losses": [], "curve": []}
    if STATE.exists():
        state = torch.load(STATE, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
    started = time.monotonic() - state["seconds"]
    for step in range(state["step"], STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        given, times, labels, velocity = batch(step)
        loss = (model(given, times, labels).sample - velocity).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            kept = min(stage_of(step)[4], (step + 1) / (step + 10))
            for mean, value in zip(average.parameters(), model.parameters()):
                mean.lerp_(value, 1 - kept)
        state["losses"].append(loss.item())
        if (step + 1) % SAVE_EVERY == 0:
            point = {"step": step + 1, "seconds": round(time.monotonic() - started)}
            point |= {"training": round(sum(state["losses"][-SAVE_EVERY:]) / SAVE_EVERY, 5)}
            if (step + 1) % (5 * SAVE_EVERY) == 0:
                point |= {"heldOut": held_out(average)}
                show(average, STATE.with_suffix(".png"), [*range(16)])
            print(point, flush=True)
            state["curve"].append(point)
            state |= {"step": step + 1, "seconds": time.monotonic() - started}
            state |= {"model": model.state_dict(), "average": average.state_dict()}
            state |= {"optimizer": optimizer.state_dict()}
            STATE.parent.mkdir(parents=True, exist_ok=True)
            torch.save(state, STATE.with_suffix(".new"))
            STATE.with_suffix(".new").replace(STATE)
    return state


def export(state: dict[str, object]) -> None:
    model = new_model()
    model.load_state_dict(state["average"])
    # Transformer and scheduler in one folder: there is no autoencoder.
    model.to(torch.float16).save_pretrained(FOLDER)
    SCHEDULER.save_pretrained(FOLDER)
    for path in FOLDER.rglob("*"):
        if path.is_file():
            path.chmod(0o644)

    # What is measured is the stored checkpoint, rounded weights and all, computed in f32.
    stored = DiTTransformer2DModel.from_pretrained(FOLDER, torch_dtype=torch.float32).eval()
    made_by = provenance("train_tiny_dit.py", torch, diffusers)
    write_json(
        FOLDER / "training-log.json",
        {
            "madeBy": made_by,
            "seed": SEED,
            "parameters": sum(parameter.numel() for parameter in stored.parameters()),
            "classes": list(CLASSES),
            "stages": [dict(zip(("side", "pictures", "steps", "rate", "cooldown", "average"), stage)) for stage in STAGES],
            "seconds": round(state["seconds"]),
            "heldOut": held_out(stored),
            "curve": state["curve"],
            "firstLosses": [round(loss, 6) for loss in state["losses"][:100]],
        },
    )
    show(stored, FOLDER / "samples.png", [*range(16)])
    labels, rows = choices(HELD_OUT_SEED, 200, 2)
    given, _ = noised(draw(labels, rows), np.array([700, 150]), normal(6 * SIZE * SIZE, 1, 0).reshape(2, 3, SIZE, SIZE))
    times, labels = torch.tensor([700, 150]), torch.from_numpy(labels)
    with torch.no_grad():
        out = stored(given, times, labels).sample
    drawn = sample(stored, [3], 10, 2.0)
    write_tensors(
        ROOT / "packages" / "tiny-models" / "test" / "golden" / "shapes-dit.safetensors",
        {
            "input": given.float(),
            "timesteps": times.int(),
            "labels": labels.int(),
            "output": out,
            "sample": torch.from_numpy(drawn),
        },
        made_by,
    )


def main() -> None:
    torch.set_num_threads(1)
    export(train())


if __name__ == "__main__":
    main()
