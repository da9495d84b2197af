"""Trains the tiny vision-language model of packages/tiny-models, and writes its checkpoint, its log and golden logits.

Encoder and decoder learn apart. The encoder learns to turn images into sums of word embeddings and places; meanwhile the decoder learns
to answer from such sums, made from the scenes themselves with noise, first with few layers and few shapes. Then the decoder learns
from what the encoder sees. The two parts can run at the same time in two processes of one thread each; both stop and resume anywhere,
their states are kept in ~/.cache/saccade/tiny-models, and every step draws its batch from a seed of its own. The scenes are written
there first, if they are missing.

    OMP_NUM_THREADS=1 python train_tiny_vision_language.py encoder
    OMP_NUM_THREADS=1 python train_tiny_vision_language.py decoder
    OMP_NUM_THREADS=1 python train_tiny_vision_language.py export
    OMP_NUM_THREADS=1 python train_tiny_vision_language.py warm-up

The warm-up stands apart: sixty steps from the initial weights whose losses another implementation can repeat.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers
import torch
import transformers

from transformers import Idefics3ForConditionalGeneration

from golden_files import ROOT, provenance, write_json, write_tensors
from muon import Muon
from tiny_vision_language import (
    FOLDER,
    IMAGE,
    IMAGE_TOKENS,
    LENGTH,
    SEED,
    Meanings,
    Prompts,
    Scenes,
    accuracies,
    answer_loss,
    config,
    drills,
    image_features,
    make_tokenizer,
    meaning_loss,
    new_model,
    packed,
    pixels,
    prepare_heads,
    prepare_words,
    words_of,
)


@dataclass(frozen=True)
class Stage:
    """A part of the decoder's training."""

    steps: int
    # So many first layers learn; the others add nothing until their turn.
    layers: int
    # Of the scenes' levels 1 to 4.
    shares: tuple[float, float, float, float]
    # What the encoder sees, or what it is to see.
    seen: bool
    # Favours what is learned slowly: so many relations and so many counts of single shapes are asked besides, numbers are shown more
    # often, and short answers count as much as long ones.
    drill: tuple[int, int] | None = None


STAGES = (
    Stage(400, 3, (1, 0, 0, 0), False),
    Stage(300, 3, (0.5, 0.5, 0, 0), False),
    Stage(100, 3, (0.4, 0.4, 0.2, 0), False),
    Stage(100, 6, (0.4, 0.4, 0.2, 0), False),
    Stage(20, 6, (0.3, 0.4, 0.2, 0.1), True),
    Stage(930, 6, (0.15, 0.5, 0.25, 0.1), False, (8, 1)),
    Stage(250, 6, (0.25, 0.35, 0.25, 0.15), True, (8, 1)),
    Stage(270, 6, (0.25, 0.35, 0.25, 0.15), True, (3, 4)),
    Stage(260, 6, (0.15, 0.4, 0.3, 0.15), True, (1, 1)),
)
# Of drilled stages.
KINDS = {"objects": 0.65, "number": 0.25, "chart": 0.1}
STEPS = sum(stage.steps for stage in STAGES)
DECODER_BATCH = 8
# Tokens of questions and answers per image; what does not fit is not asked.
ROOM, DRILLED_ROOM = 150, 240
# Of a word's length: noise on what the encoder is to see.
NOISE = 0.3
# Rates of matrices and of all else; steps, and what is left of the rates.
DECODER_RATE, OTHER_RATE = 0.01, 2e-3
DECODER_FALL = (
    (0, 19, 899, 900, 918, 919, 949, 2020, 2369, 2390, 2500, 2629),
    (0.05, 1, 1, 2 / 7, 1 / 35, 0.02, 1, 1, 0.01, 0.6, 0.6, 0.01),
)

ENCODER_BATCH, ENCODER_RATE, ENCODER_SEED = 16, 0.02, 7
# Steps, and of the rate.
ENCODER_FALL = ((0, 600, 700, 859, 860, 1500, 1900), (1, 1, 7 / 9, 0.005, 1, 1, 0))
ENCODER_STEPS = ENCODER_FALL[0][-1]
# Of galleries and of levels 1 to 4, from these steps on, at which the optimizers begin anew.
ENCODER_SHARES = {0: (0.3, 0.15, 0.2, 0.2, 0.15), 600: (0.45, 0.1, 0.15, 0.15, 0.15), 860: (0.25, 0.2, 0.2, 0.2, 0.15)}

# A run of its own, of one question an image and all parameters, that another implementation can repeat.
WARM_UP, WARM_UP_BATCH, WARM_UP_RATE = 60, 8, 1e-3
# Held-out scenes whose logits are written down: of levels 1, 2 and 4.
GOLDEN_SCENES = (0, 60, 181)
EVALUATE_EVERY = 50
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "saccade" / "tiny-models"
ENCODER, DECODER = CACHE / "scenes-encoder.pt", CACHE / "scenes-decoder.pt"


def written_scenes() -> Path:
    folder = CACHE / "scenes"
    if not (folder / "gallery.jsonl").exists():
        script = ROOT / "packages" / "tiny-models" / "training" / "write-scenes.ts"
        command = ["node", "--conditions=@saccade/source", "--import", "tsx", str(script), str(folder)]
        subprocess.run(command, cwd=ROOT, check=True)
    return folder


class Start:
    """The scenes, the tokenizer of their words, and the model with which training begins."""

    def __init__(self) -> None:
        folder = written_scenes()
        self.levels = {level: Scenes(folder, f"level-{level}") for level in (1, 2, 3, 4)}
        self.galleries, self.held_out = Scenes(folder, "gallery"), Scenes(folder, "held-out")
        self.tokenizer = make_tokenizer(words_of([sample for scenes in self.levels.values() for sample in scenes.samples]))
        self.prompts = Prompts(tokenizers.Tokenizer.from_str(json.dumps(self.tokenizer)))
        self.model = new_model(config(self.tokenizer))
        prepare_words(self.model, self.prompts)
        prepare_heads(self.model)
        self.meanings = Meanings(self.model, self.prompts)


def draw(
    parts: list[Scenes], generator: np.random.Generator, count: int, shares: tuple[float, ...], kinds: dict[str, float] | None = None
) -> tuple[list[dict[str, object]], list[tuple[Scenes, int]]]:
    chosen = [parts[part] for part in generator.choice(len(parts), size=count, p=shares)]
    if kinds:
        asked = generator.choice(list(kinds), size=count, p=list(kinds.values()))
        places = [(scenes, int(generator.choice(scenes.kinds[kind]))) for scenes, kind in zip(chosen, asked)]
    else:
        places = [(scenes, int(generator.integers(len(scenes.samples)))) for scenes in chosen]
    return [scenes.samples[index] for scenes, index in places], places


def images_of(places: list[tuple[Scenes, int]]) -> torch.Tensor:
    return pixels(np.stack([scenes.images[index] for scenes, index in places]))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def stored(path: Path) -> dict[str, object]:
    if path.exists():
        return torch.load(path, weights_only=True)
    return {"step": 0, "seconds": 0.0, "losses": [], "curve": []}


def store(path: Path, state: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def train_encoder(start: Start) -> None:
    """The vision tower and the projector, against fixed embeddings."""
    model, meanings = start.model, start.meanings
    names = [name for name, _ in model.named_parameters() if "text_model" not in name]
    learning = [model.get_parameter(name) for name in names]
    matrices = [value for name, value in zip(names, learning) if value.dim() == 2 and "embed" not in name]
    others = [value for value in learning if all(value is not matrix for matrix in matrices)]
    state = stored(ENCODER)
    if state["step"] > 0:
        model.load_state_dict(state["model"], strict=False)
    optimizers: list[torch.optim.Optimizer] = []
    parts = [start.galleries, *start.levels.values()]
    began = time.process_time() - state["seconds"]
    for step in range(state["step"], ENCODER_STEPS):
        first = max(start for start in ENCODER_SHARES if start <= step)
        if step == first or not optimizers:
            adam = torch.optim.AdamW(others, OTHER_RATE, (0.9, 0.98), weight_decay=0, fused=True)
            optimizers = [Muon(matrices, ENCODER_RATE), adam]
            if step > first:
                for optimizer, own in zip(optimizers, state["optimizers"]):
                    optimizer.load_state_dict(own)
        samples, places = draw(parts, np.random.default_rng([ENCODER_SEED, step]), ENCODER_BATCH, ENCODER_SHARES[first])
        distance, surprise = meaning_loss(meanings, image_features(model, images_of(places)), samples)
        model.zero_grad()
        (distance + surprise).backward()
        share = min((step - first + 1) / 30, float(np.interp(step, *ENCODER_FALL)))
        for optimizer, rate in zip(optimizers, (ENCODER_RATE, OTHER_RATE)):
            set_rate(optimizer, rate * share)
            optimizer.step()
        state["losses"].append([distance.item(), surprise.item()])
        if (step + 1) % EVALUATE_EVERY == 0 or step + 1 == ENCODER_STEPS:
            recent = np.mean(state["losses"][-EVALUATE_EVERY:], 0).round(4).tolist()
            state["curve"].append({"step": step + 1, "distance": recent[0], "surprise": recent[1]})
            print(json.dumps(state["curve"][-1]), flush=True)
            state |= {"step": step + 1, "seconds": time.process_time() - began}
            state |= {"model": {name: value.detach() for name, value in zip(names, learning)}}
            store(ENCODER, state | {"optimizers": [optimizer.state_dict() for optimizer in optimizers]})


def asked(
    prompts: Prompts, sample: dict[str, object], generator: np.random.Generator, drill: tuple[int, int] | None
) -> list[tuple[list[int], list[int]]]:
    turns, room = [], DRILLED_ROOM if drill else ROOM
    questions = [*sample["questions"], *(drills(sample, generator, *drill) if drill else [])]
    for index in generator.permutation(len(questions)):
        question = questions[index]
        turn = prompts.turn(question)
        if len(turn[0]) + len(turn[1]) <= room:
            turns.append(turn)
            room -= len(turn[0]) + len(turn[1])
    return turns


def stage_at(step: int) -> tuple[int, Stage]:
    """The stage of a step, and the step at which it begins."""
    first = 0
    for stage in STAGES:
        if step < first + stage.steps:
            return first, stage
        first += stage.steps
    raise ValueError(step)


class Decoder:
    """The decoder as it learns."""

    def __init__(self, start: Start) -> None:
        self.start, self.model = start, start.model
        named = dict(start.model.model.text_model.named_parameters())
        self.matrices = {name: value for name, value in named.items() if value.dim() == 2 and "embed" not in name}
        self.others = [value for name, value in named.items() if name not in self.matrices]
        self.muon: Muon | None = None
        self.adam = torch.optim.AdamW(self.others, OTHER_RATE, (0.9, 0.98), weight_decay=0, fused=True)
        with torch.no_grad():
            for layer in start.model.model.text_model.layers[STAGES[0].layers :]:
                layer.self_attn.o_proj.weight.zero_()
                layer.mlp.down_proj.weight.zero_()

    def enter(self, stage: Stage) -> None:
        """Before the first step of a stage or of a resumed run."""
        own = [value for name, value in self.matrices.items() if int(name.split(".")[1]) < stage.layers]
        if self.muon is None or len(self.muon.param_groups[0]["params"]) != len(own):
            self.muon = Muon(own, DECODER_RATE)
        if stage.seen:
            self.model.load_state_dict(torch.load(ENCODER, weights_only=True)["model"], strict=False)

    @torch.no_grad()
    def features(self, stage: Stage, step: int, samples: list[dict[str, object]], places: list[tuple[Scenes, int]]) -> torch.Tensor:
        if stage.seen:
            return image_features(self.model, images_of(places))
        tokens = self.start.meanings.tokens(samples)
        noise = torch.randn(tokens.shape, generator=torch.Generator().manual_seed(step))
        return tokens + noise * (LENGTH / tokens.shape[-1] ** 0.5 * NOISE)

    def step(self, step: int) -> float:
        _, stage = stage_at(step)
        generator = np.random.default_rng([SEED, step])
        kinds = KINDS if stage.drill else None
        samples, places = draw(list(self.start.levels.values()), generator, DECODER_BATCH, stage.shares, kinds)
        features = self.features(stage, step, samples, places)
        turns = [asked(self.start.prompts, sample, generator, stage.drill) for sample in samples]
        loss = answer_loss(self.model, features, packed(self.start.prompts, turns), stage.layers, alike=stage.drill is not None)
        self.model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.others, 1.0)
        share = float(np.interp(step, *DECODER_FALL))
        for optimizer, rate in ((self.muon, DECODER_RATE), (self.adam, OTHER_RATE)):
            set_rate(optimizer, rate * share)
            optimizer.step()
        return loss.item()


def train_decoder(start: Start) -> None:
    """The language model and its embeddings."""
    state = stored(DECODER)
    decoder = Decoder(start)
    if state["step"] > 0:
        start.model.load_state_dict(state["model"])
        decoder.enter(stage_at(state["step"] - 1)[1])
        decoder.muon.load_state_dict(state["muon"])
        decoder.adam.load_state_dict(state["adam"])
    some = [index for index in range(len(start.held_out.samples)) if index % 60 < 12 and index < 180]
    began = time.process_time() - state["seconds"]
    for step in range(state["step"], STEPS):
        first, stage = stage_at(step)
        if step in (first, state["step"]):
            decoder.enter(stage)
        state["losses"].append(decoder.step(step))
        if (step + 1) % EVALUATE_EVERY == 0 or step + 1 == STEPS:
            recent = state["losses"][-EVALUATE_EVERY:]
            point: dict[str, object] = {"step": step + 1, "loss": round(float(np.mean(recent)), 4)}
            if stage.seen:
                counted = accuracies(start.model, start.prompts, start.held_out, some)
                point["accuracy"] = {
                    kind: {level: round(right / count, 3) for level, (right, count) in counts.items()}
                    for kind, counts in counted.items()
                }
            print(json.dumps(point), flush=True)
            state["curve"].append(point)
            state |= {"step": step + 1, "seconds": time.process_time() - began, "model": start.model.state_dict()}
            store(DECODER, state | {"muon": decoder.muon.state_dict(), "adam": decoder.adam.state_dict()})


def warm_up(start: Start) -> None:
    """From the initial weights: eight scenes of the first level a step, in order, one question each."""
    model = new_model(config(start.tokenizer))
    parameters = list(model.parameters())
    groups = [
        {"params": [value for value in parameters if value.dim() > 1], "weight_decay": 0.05},
        {"params": [value for value in parameters if value.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, WARM_UP_RATE, (0.9, 0.98), fused=True)
    losses = []
    for step, turns in enumerate(warm_up_turns(start)):
        images = pixels(start.levels[1].images[WARM_UP_BATCH * step : WARM_UP_BATCH * (step + 1)])
        loss = answer_loss(model, image_features(model, images), packed(start.prompts, [[turn] for turn in turns]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        set_rate(optimizer, WARM_UP_RATE * (step + 1) / WARM_UP)
        optimizer.step()
        losses.append(round(loss.item(), 6))
    write_warm_up(start, losses, provenance("train_tiny_vision_language.py", torch, transformers))


def warm_up_turns(start: Start) -> list[list[tuple[list[int], list[int]]]]:
    """By step and image."""
    return [
        [
            start.prompts.turn(sample["questions"][step % len(sample["questions"])])
            for sample in start.levels[1].samples[WARM_UP_BATCH * step : WARM_UP_BATCH * (step + 1)]
        ]
        for step in range(WARM_UP)
    ]


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


def write_warm_up(start: Start, losses: list[float], made_by: str) -> None:
    """The tokens of the warm-up's batches and its losses; images are drawn by seed."""
    prompts = start.prompts
    write_json(
        ROOT / "packages" / "tiny-models" / "test" / "golden" / "scenes-warm-up.json",
        {
            "madeBy": made_by,
            "prefix": prompts.prefix,
            "imageStart": prompts.prefix.index(prompts.image),
            "end": prompts.end,
            "turns": warm_up_turns(start),
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


def export(start: Start) -> None:
    prompts, model, held_out = start.prompts, start.model.eval(), start.held_out
    state, encoder = stored(DECODER), stored(ENCODER)
    model.load_state_dict(state["model"])
    model.to(torch.float16).save_pretrained(FOLDER)
    (FOLDER / "model.safetensors").chmod(0o644)
    (FOLDER / "generation_config.json").unlink(missing_ok=True)
    write_settings(start.tokenizer)

    # What is measured is the stored checkpoint, rounded weights and all, computed in f32.
    checkpoint = Idefics3ForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32).eval()
    made_by = provenance("train_tiny_vision_language.py", torch, transformers)
    everything = list(range(len(held_out.samples)))
    accuracy = {
        name: {
            kind: {level: {"right": right, "of": count} for level, (right, count) in sorted(counts.items())}
            for kind, counts in sorted(accuracies(checkpoint, prompts, held_out, everything, blind).items())
        }
        for name, blind in (("seeing", False), ("blind", True))
    }
    write_json(
        FOLDER / "training-log.json",
        {
            "madeBy": made_by,
            "seed": SEED,
            "parameters": sum(parameter.numel() for parameter in checkpoint.parameters()),
            "steps": {"encoder": encoder["step"], "decoder": state["step"]},
            "imagesPerStep": {"encoder": ENCODER_BATCH, "decoder": DECODER_BATCH},
            "stages": [
                {"steps": stage.steps, "layers": stage.layers, "levels": stage.shares, "seen": stage.seen, "drill": stage.drill}
                for stage in STAGES
            ],
            "processorSeconds": {"encoder": round(encoder["seconds"]), "decoder": round(state["seconds"])},
            "heldOut": {"scenesPerLevel": len(held_out.samples) // 5, **accuracy},
            "encoderCurve": encoder["curve"],
            "decoderCurve": state["curve"],
        },
    )
    path = ROOT / "packages" / "tiny-models" / "test" / "golden" / "scenes.safetensors"
    write_tensors(path, golden(checkpoint, prompts, held_out), made_by)


def main() -> None:
    torch.set_num_threads(1)
    parts = {"warm-up": warm_up, "encoder": train_encoder, "decoder": train_decoder, "export": export}
    if len(sys.argv) != 2 or sys.argv[1] not in parts:
        sys.exit(f"Say which part: {', '.join(parts)}.")
    parts[sys.argv[1]](Start())


if __name__ == "__main__":
    main()
