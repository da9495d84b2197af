"""Trains the tiny vision-language model of packages/tiny-models, and writes its checkpoint, its log and golden logits.

One thread. It stops and resumes anywhere: the state is kept in ~/.cache/saccade/tiny-models, and every step draws its batch from a seed
of its own. The scenes are written there first, if they are missing.

    OMP_NUM_THREADS=1 nice -n 15 python train_tiny_vision_language.py
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import tokenizers
import torch
import transformers

from transformers import Idefics3ForConditionalGeneration

from golden_files import ROOT, provenance, write_json, write_tensors
from tiny_vision_language import (
    FOLDER,
    IMAGE,
    IMAGE_TOKENS,
    SEED,
    Prompts,
    Scenes,
    accuracies,
    answer_loss,
    cell_loss,
    config,
    copy_contents,
    image_features,
    make_tokenizer,
    match_contents,
    new_model,
    packed,
    pixels,
    words_of,
)

# The warm-up asks one question of each image, without anything else, so that another implementation can repeat its losses.
WARM_UP = 60
# Then the image encoder alone learns to say what each cell shows, then all learn to answer, then the decoder alone, which sees fewer
# image tokens; then the first layers of the decoder alone, the others adding nothing; at last all parts together.
ENCODER_UNTIL, TOGETHER_UNTIL, DECODER_UNTIL, SHALLOW_UNTIL = 800, 1000, 1300, 2600
STEPS = int(os.environ.get("STEPS", 4200))
# The decoder's heads are set to match what is alike, and to write what they read, from these steps on.
MATCHES_FROM, COPIES_FROM = TOGETHER_UNTIL, 1200
# The rate falls to nothing over the last steps.
DECAY = 500
# Rates, from these steps on.
RATES = ((0, 1e-3), (400, 2e-3), (ENCODER_UNTIL, 1e-3), (TOGETHER_UNTIL, 2e-3), (DECODER_UNTIL, 1.5e-3), (SHALLOW_UNTIL, 1e-3))
# The optimizer begins anew at these steps, with a warm-up of its own.
FRESH = (0, DECODER_UNTIL, SHALLOW_UNTIL)
FRESH_WARM_UP = 30
# Images of a step, in each part.
WARM_UP_BATCH, ENCODER_BATCH, TOGETHER_BATCH, DECODER_BATCH = 8, 16, 4, 6
# Galleries beside the images when all learn together, for the encoder alone.
GALLERIES = 4
# The decoder alone sees every image token whose cell says something, and this share of the others, from these steps on.
SHOWN = ((TOGETHER_UNTIL, 0.2), (DECODER_UNTIL, 0.0), (DECODER_UNTIL + 250, 0.1), (DECODER_UNTIL + 450, 0.3), (2200, 1.0))
# Layers of the decoder that learn alone, and from how many scenes of the first level: the encoder sees each once.
SHALLOW_LAYERS, SHALLOW_SCENES = 3, 1200
# Of the scenes' levels 1 to 4, from these steps on.
CURRICULUM = (
    (0, (0.3, 0.4, 0.3, 0)),
    (ENCODER_UNTIL, (0.5, 0.4, 0.1, 0)),
    (TOGETHER_UNTIL, (0.8, 0.2, 0, 0)),
    (SHALLOW_UNTIL, (0.4, 0.4, 0.2, 0)),
    (3200, (0.25, 0.35, 0.3, 0.1)),
)
CELL_WEIGHT = 0.5
# Tokens of questions and answers per image; what does not fit is not asked.
ROOM = 136
EVALUATE_EVERY = 100
# Held-out scenes whose logits are written down: of levels 1, 2 and 4.
GOLDEN_SCENES = (0, 60, 181)
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "saccade" / "tiny-models"
STATE = CACHE / "scenes.pt"


def at_step(table: tuple, step: int) -> object:
    """The value of a table of (first step, value) at a step."""
    return next(value for start, value in reversed(table) if step >= start)


def learning_rate(step: int) -> float:
    fresh = max(start for start in FRESH if step >= start)
    warm_up = WARM_UP if fresh == 0 else FRESH_WARM_UP
    return at_step(RATES, step) * min(1, (step - fresh + 1) / warm_up, (STEPS - step) / DECAY)


def draw(levels: dict[int, Scenes], step: int, count: int) -> tuple[list[dict[str, object]], torch.Tensor]:
    """Scenes of a step, with their images."""
    generator = np.random.default_rng(SEED + step)
    shares = at_step(CURRICULUM, step)
    chosen = [
        (levels[level], int(generator.integers(len(levels[level].samples))))
        for level in generator.choice([1, 2, 3, 4], size=count, p=shares)
    ]
    images = np.stack([scenes.images[index] for scenes, index in chosen])
    return [scenes.samples[index] for scenes, index in chosen], pixels(images)


def warm_up_batch(prompts: Prompts, easy: Scenes, step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The step's eight scenes of the first level, in order, one question each."""
    rows = range(WARM_UP_BATCH * step, WARM_UP_BATCH * (step + 1))
    samples = [easy.samples[index] for index in rows]
    questions = [sample["questions"][step % len(sample["questions"])] for sample in samples]
    return pixels(easy.images[rows.start : rows.stop]), packed(prompts, [[prompts.turn(question)] for question in questions])


def asked(prompts: Prompts, sample: dict[str, object], generator: np.random.Generator) -> list[tuple[list[int], list[int]]]:
    turns, room = [], ROOM
    for index in generator.permutation(len(sample["questions"])):
        question = sample["questions"][index]
        turn = prompts.turn(question)
        if len(turn[0]) + len(turn[1]) <= room:
            turns.append(turn)
            room -= len(turn[0]) + len(turn[1])
    return turns


def training_tokenizer(levels: dict[int, Scenes]) -> dict[str, object]:
    return make_tokenizer(words_of([sample for scenes in levels.values() for sample in scenes.samples]))


def written_scenes() -> Path:
    folder = CACHE / "scenes"
    if not (folder / "gallery.jsonl").exists():
        script = ROOT / "packages" / "tiny-models" / "training" / "write-scenes.ts"
        command = ["node", "--conditions=@saccade/source", "--import", "tsx", str(script), str(folder)]
        subprocess.run(command, cwd=ROOT, check=True)
    return folder


def is_shallow(step: int) -> bool:
    return DECODER_UNTIL <= step < SHALLOW_UNTIL


class Training:
    """The model with what it learns from; `loss(step)` is that of a step's batch."""

    def __init__(self, levels: dict[int, Scenes], galleries: Scenes) -> None:
        self.levels, self.galleries = levels, galleries
        tokenizer = training_tokenizer(levels)
        self.prompts = Prompts(tokenizers.Tokenizer.from_str(json.dumps(tokenizer)))
        self.model = new_model(config(tokenizer))
        self.layers = self.model.model.text_model.layers
        self.seen: dict[int, torch.Tensor] = {}

    def loss(self, step: int) -> tuple[torch.Tensor, tuple[float, float]]:
        """The loss, and of it what answers and cells have."""
        if step < WARM_UP:
            images, batch = warm_up_batch(self.prompts, self.levels[1], step)
            loss = answer_loss(self.model, image_features(self.model, images), batch)
            return loss, (loss.item(), 0.0)
        if step < ENCODER_UNTIL:
            samples, images = draw(self.levels, step, ENCODER_BATCH)
            loss = cell_loss(self.model, image_features(self.model, images), self.prompts, samples)
            return loss, (0.0, loss.item())
        if TOGETHER_UNTIL <= step < SHALLOW_UNTIL:
            loss = self.decoder_loss(step)
            return loss, (loss.item(), 0.0)
        samples, images = draw(self.levels, step, TOGETHER_BATCH)
        generator = np.random.default_rng([SEED, step])
        shown = generator.integers(len(self.galleries.samples), size=GALLERIES).tolist()
        features = image_features(self.model, torch.cat([images, pixels(self.galleries.images[shown])]))
        others = [self.galleries.samples[index] for index in shown]
        cells = cell_loss(self.model, features, self.prompts, [*samples, *others])
        turns = [asked(self.prompts, sample, generator) for sample in samples]
        answers = answer_loss(self.model, features[:TOGETHER_BATCH], packed(self.prompts, turns))
        return answers + CELL_WEIGHT * cells, (answers.item(), cells.item())

    def decoder_loss(self, step: int) -> torch.Tensor:
        """The answers' loss with an encoder that stays as it is."""
        generator = np.random.default_rng([SEED, step])
        if is_shallow(step):
            chosen = generator.integers(SHALLOW_SCENES, size=DECODER_BATCH).tolist()
            samples = [self.levels[1].samples[index] for index in chosen]
            features = torch.stack([self.features(index) for index in chosen])
        else:
            samples, images = draw(self.levels, step, DECODER_BATCH)
            with torch.no_grad():
                features = image_features(self.model, images)
        says = np.array([[len(cell) > 0 for cell in sample["cells"]] for sample in samples])
        shown = says | (generator.random(says.shape) < at_step(SHOWN, step))
        turns = [asked(self.prompts, sample, generator) for sample in samples]
        return answer_loss(self.model, features, packed(self.prompts, turns, shown))

    @torch.no_grad()
    def features(self, index: int) -> torch.Tensor:
        """[64, 256] of a scene of the first level, which the encoder sees once."""
        if index not in self.seen:
            self.seen[index] = image_features(self.model, pixels(self.levels[1].images[[index]]))[0]
        return self.seen[index]

    @torch.no_grad()
    def prepare(self, step: int) -> None:
        """What is changed before a step."""
        if step == MATCHES_FROM:
            match_contents(self.model)
        if step == COPIES_FROM:
            copy_contents(self.model)
        if step == DECODER_UNTIL:
            for layer in self.layers[SHALLOW_LAYERS:]:
                layer.self_attn.o_proj.weight.zero_()
                layer.mlp.down_proj.weight.zero_()
        # Layers that add nothing are not computed.
        own = self.layers[:SHALLOW_LAYERS] if is_shallow(step) else self.layers
        self.model.model.text_model.layers = own

    def optimizer(self, step: int) -> torch.optim.AdamW:
        shallow = is_shallow(step)
        learning = [value for name, value in self.model.named_parameters() if not shallow or "text_model" in name]
        groups = [
            {"params": [value for value in learning if value.dim() > 1], "weight_decay": 0.05},
            {"params": [value for value in learning if value.dim() == 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=RATES[0][1], betas=(0.9, 0.98), fused=True)

    def weights(self) -> dict[str, torch.Tensor]:
        """Of all layers."""
        self.model.model.text_model.layers = self.layers
        return {name: value.clone() for name, value in self.model.state_dict().items()}


def train(levels: dict[int, Scenes], galleries: Scenes, held_out: Scenes) -> dict[str, object]:
    """Trains to the end, from the stored state where there is one; returns the final state."""
    training = Training(levels, galleries)
    model = training.model
    state: dict[str, object] = {"step": 0, "seconds": 0.0, "losses": [], "curve": []}
    if STATE.exists():
        state = torch.load(STATE, weights_only=True)
        model.load_state_dict(state["model"])
    optimizer = None
    evaluated = [index for index in range(len(held_out.samples)) if index % 60 < 12 and index < 180]
    started = time.monotonic() - state["seconds"]
    for step in range(state["step"], STEPS):
        training.prepare(step)
        if optimizer is None or step in FRESH:
            optimizer = training.optimizer(step)
            if step == state["step"] and "optimizer" in state and step not in FRESH:
                optimizer.load_state_dict(state["optimizer"])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        loss, parts = training.loss(step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state["losses"].append(parts)
        if (step + 1) % 20 == 0:
            recent = np.array(state["losses"][-20:]).mean(0).round(4)
            print(step + 1, round(time.monotonic() - started), *recent, flush=True)
        if (step + 1) % EVALUATE_EVERY == 0 or step + 1 == STEPS:
            point = {"step": step + 1, "seconds": round(time.monotonic() - started)}
            recent = np.array(state["losses"][-EVALUATE_EVERY:])
            point |= {"answers": round(float(recent[:, 0].mean()), 4), "cells": round(float(recent[:, 1].mean()), 4)}
            weights = training.weights()
            if step >= ENCODER_UNTIL:
                point["accuracy"] = {
                    kind: {level: round(right / count, 3) for level, (right, count) in counts.items()}
                    for kind, counts in accuracies(model, training.prompts, held_out, evaluated).items()
                }
            print(json.dumps(point), flush=True)
            state["curve"].append(point)
            state |= {"step": step + 1, "seconds": time.monotonic() - started}
            state |= {"model": weights, "optimizer": optimizer.state_dict()}
            STATE.parent.mkdir(parents=True, exist_ok=True)
            torch.save(state, STATE.with_suffix(".new"))
            STATE.with_suffix(".new").replace(STATE)
    return state


# SmolVLM's: images stand for themselves, and turns end with a token.
CHAT_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'] is string %}{{ ': ' + message['content'] }}"
    "{% else %}{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}{% endif %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def write_settings(tokenizer: dict[str, object]) -> None:
    """What stands beside the weights: the tokenizer, its chat template, and how images are made ready."""
    (FOLDER / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False) + "\n")
    write_json(
        FOLDER / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<|im_start|>",
            "eos_token": "<end_of_utterance>",
            "pad_token": "<end_of_utterance>",
            "clean_up_tokenization_spaces": False,
            "model_max_length": 512,
        },
    )
    (FOLDER / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    # An image of 128 x 128 pixels passes as it is; others are made to fit.
    image_processor = {
        "image_processor_type": "Idefics3ImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"longest_edge": IMAGE},
        "resample": 1,
        "do_image_splitting": False,
        "max_image_size": {"longest_edge": IMAGE},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "do_pad": True,
        "processor_class": "Idefics3Processor",
    }
    write_json(FOLDER / "preprocessor_config.json", image_processor)
    write_json(FOLDER / "processor_config.json", {"image_seq_len": IMAGE_TOKENS, "processor_class": "Idefics3Processor"})


def write_warm_up(prompts: Prompts, easy: Scenes, losses: list[float], made_by: str) -> None:
    """The tokens of the warm-up's batches and its losses, so that another implementation can repeat them; images are drawn by seed."""
    turns = [
        [
            prompts.turn(sample["questions"][step % len(sample["questions"])])
            for sample in easy.samples[WARM_UP_BATCH * step : WARM_UP_BATCH * (step + 1)]
        ]
        for step in range(WARM_UP)
    ]
    write_json(
        ROOT / "packages" / "tiny-models" / "test" / "golden" / "scenes-warm-up.json",
        {
            "madeBy": made_by,
            "prefix": prompts.prefix,
            "imageStart": prompts.prefix.index(prompts.image),
            "end": prompts.end,
            "turns": turns,
            "losses": losses,
        },
    )


@torch.no_grad()
def golden(model: Idefics3ForConditionalGeneration, prompts: Prompts, held_out: Scenes) -> dict[str, torch.Tensor]:
    """For each of three held-out scenes, all ids of a question with its answer and the logits from the question on, f32 [N, V]; of the
    first the image features too."""
    tensors: dict[str, torch.Tensor] = {}
    for number, index in enumerate(GOLDEN_SCENES):
        sample = held_out.samples[index]
        asked, answer = prompts.turn(sample["questions"][0])
        ids = torch.tensor([prompts.prefix + asked + answer])
        images = pixels(held_out.images[[index]])
        logits = model(input_ids=ids, pixel_values=images[:, None]).logits[0]
        tensors |= {f"{number}.input_ids": ids[0].to(torch.int32), f"{number}.logits": logits[len(prompts.prefix) :]}
        if number == 0:
            tensors["0.features"] = image_features(model, images)[0]
    return tensors


def export(state: dict[str, object], tokenizer: dict[str, object], easy: Scenes, held_out: Scenes) -> None:
    prompts = Prompts(tokenizers.Tokenizer.from_str(json.dumps(tokenizer)))
    model = new_model(config(tokenizer)).eval()
    model.load_state_dict(state["model"])
    model.to(torch.float16).save_pretrained(FOLDER)
    (FOLDER / "model.safetensors").chmod(0o644)
    (FOLDER / "generation_config.json").unlink(missing_ok=True)
    write_settings(tokenizer)

    # What is measured is the stored checkpoint, rounded weights and all, computed in f32.
    stored = Idefics3ForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32).eval()
    made_by = provenance("train_tiny_vision_language.py", torch, transformers)
    everything = list(range(len(held_out.samples)))
    accuracy = {
        name: {
            kind: {level: {"right": right, "of": count} for level, (right, count) in sorted(counts.items())}
            for kind, counts in sorted(accuracies(stored, prompts, held_out, everything, blind).items())
        }
        for name, blind in (("seeing", False), ("blind", True))
    }
    losses = [round(answers if step < WARM_UP else cells, 6) for step, (answers, cells) in enumerate(state["losses"][:100])]
    write_json(
        FOLDER / "training-log.json",
        {
            "madeBy": made_by,
            "seed": SEED,
            "parameters": sum(parameter.numel() for parameter in stored.parameters()),
            "steps": len(state["losses"]),
            "imagesPerStep": {
                "warmUp": WARM_UP_BATCH,
                "encoder": ENCODER_BATCH,
                "decoder": DECODER_BATCH,
                "together": TOGETHER_BATCH,
            },
            "parts": {
                "warmUpUntil": WARM_UP,
                "encoderUntil": ENCODER_UNTIL,
                "togetherUntil": TOGETHER_UNTIL,
                "decoderUntil": DECODER_UNTIL,
                "shallowUntil": SHALLOW_UNTIL,
            },
            "seconds": round(state["seconds"]),
            "heldOut": {"scenesPerLevel": len(held_out.samples) // 5, **accuracy},
            "curve": state["curve"],
            "firstLosses": losses,
        },
    )
    write_warm_up(prompts, easy, losses[:WARM_UP], made_by)
    path = ROOT / "packages" / "tiny-models" / "test" / "golden" / "scenes.safetensors"
    write_tensors(path, golden(stored, prompts, held_out), made_by)


def main() -> None:
    torch.set_num_threads(1)
    folder = written_scenes()
    levels = {level: Scenes(folder, f"level-{level}") for level in (1, 2, 3, 4)}
    held_out = Scenes(folder, "held-out")
    state = train(levels, Scenes(folder, "gallery"), held_out)
    if "--no-export" not in sys.argv:
        export(state, training_tokenizer(levels), levels[1], held_out)


if __name__ == "__main__":
    main()
