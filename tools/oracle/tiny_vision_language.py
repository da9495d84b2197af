"""The tiny vision-language model: its network, tokenizer, prompts, batches, and what is measured on it.

`train_tiny_vision_language.py` trains it. Images, questions and answers are drawn by `packages/tiny-models/training/write-scenes.ts`, the
only generator that there is.
"""

import json
import math
import re
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import Idefics3Config, Idefics3ForConditionalGeneration

from golden_files import ROOT
from philox import normal

FOLDER = ROOT / "packages" / "tiny-models" / "checkpoints" / "scenes"
SEED = 2026
IMAGE, PATCH, SHUFFLE = 128, 8, 2
IMAGE_TOKENS = (IMAGE // PATCH // SHUFFLE) ** 2
SPECIAL = ["<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<global-img>", "<image>"]
# What a cell of the image says that shows nothing.
NOTHING = "nothing"
# Questions start a text and answers follow a space; these are the words of the chat template and of the generator's questions.
TEMPLATE_WORDS = ["User", "Assistant"]
NOUNS = ["star", "moon", "ring", "cup", "circle", "heart", "bow", "arrow", "square", "triangle", "diamond", "cross"]
COLOURS = ["red", "green", "blue", "yellow", "orange", "purple", "white", "cyan"]
PLURALS = {noun: f"{noun}es" if noun == "cross" else f"{noun}s" for noun in NOUNS}
# All that cells say.
CELL_WORDS = [*NOUNS, *COLOURS, *(str(digit) for digit in range(10)), "bar", NOTHING]
# Deviation of initial weights; length of a word's embedding when training begins, and of its part in an image token.
DEVIATION, LENGTH = 0.02, 1.28
Sample = dict[str, object]


def printable_bytes() -> list[str]:
    """The characters that stand for bytes in byte-level BPE: printable ones for themselves, the others from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte if byte in printable else 0x100 + others.index(byte)) for byte in range(256)]


def make_tokenizer(words: list[str]) -> dict[str, object]:
    """A tokenizer.json of byte-level BPE in which every word, a space before it or not, becomes one token, letter by letter from its
    beginning. Any other text stays bytes."""
    space = printable_bytes()[0x20]
    vocabulary = {character: index for index, character in enumerate(printable_bytes())}
    merges: dict[tuple[str, str], None] = {}
    for word in [*TEMPLATE_WORDS, *words]:
        text = word.replace(" ", space)
        for end in range(1, len(text)):
            merges[(text[:end], text[end])] = None
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    added = [
        {"id": len(vocabulary) + index, "content": content, "single_word": False, "lstrip": False, "rstrip": False}
        | {"normalized": False, "special": True}
        for index, content in enumerate(SPECIAL)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None}
    model |= {"end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": model | {"vocab": vocabulary, "merges": [list(pair) for pair in merges]},
    }


def words_of(samples: list[Sample]) -> list[str]:
    """All words of questions and answers, as the byte-level pattern cuts them, and the words of cells; sorted."""
    found = {f" {NOTHING}"}
    for sample in samples:
        found.update(f" {word}" for cell in sample["cells"] for word in cell)
        for question in sample["questions"]:
            for text in (question["text"], f" {question['answer']}"):
                found.update(re.findall(r" ?[a-zA-Z]+| ?[0-9]|[^ a-zA-Z0-9]", text))
    return sorted(found)


class Prompts:
    """Ids of prompts and answers, each text's worked out once."""

    def __init__(self, tokenizer: object) -> None:
        self.tokenizer, self.known = tokenizer, {}
        self.end = self.ids("<end_of_utterance>")[0]
        self.image = self.ids("<image>")[0]
        around = "<fake_token_around_image>"
        self.prefix = self.ids(f"<|im_start|>User:{around}<global-img>{'<image>' * IMAGE_TOKENS}{around}")

    def ids(self, text: str) -> list[int]:
        if text not in self.known:
            self.known[text] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return self.known[text]

    def turn(self, question: Sample) -> tuple[list[int], list[int]]:
        """What follows the image up to the answer, and the answer with its end."""
        asked = self.ids(question["text"] + "<end_of_utterance>\nAssistant:")
        return asked, [*self.ids(f" {question['answer']}"), self.end]

    def word(self, text: str) -> int:
        (only,) = self.ids(f" {text}")
        return only


def config(tokenizer: dict[str, object]) -> Idefics3Config:
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    size = len(tokenizer["model"]["vocab"]) + len(ids)
    end = ids["<end_of_utterance>"]
    return Idefics3Config(
        image_token_id=ids["<image>"],
        scale_factor=SHUFFLE,
        tie_word_embeddings=True,
        pad_token_id=end,
        vision_config={
            "hidden_size": 128,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "image_size": IMAGE,
            "patch_size": PATCH,
            "hidden_act": "gelu_pytorch_tanh",
            "layer_norm_eps": 1e-6,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": size,
            "hidden_size": 256,
            "intermediate_size": 512,
            "num_hidden_layers": 6,
            "num_attention_heads": 8,
            "num_key_value_heads": 8,
            "max_position_embeddings": 512,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "bos_token_id": ids["<|im_start|>"],
            "eos_token_id": end,
            "pad_token_id": end,
        },
    )


def drawn(stream: int, *shape: int) -> torch.Tensor:
    """Normal numbers of the core's stream."""
    return torch.from_numpy(normal(math.prod(shape), SEED, stream)).reshape(shape)


def new_model(settings: Idefics3Config) -> Idefics3ForConditionalGeneration:
    """Initial weights that the core draws as well: the k-th parameter by name is normal with stream k, of deviation 0.02; what adds
    to a residual stream is smaller by the root of its number; norms are one, biases zero."""
    model = Idefics3ForConditionalGeneration(settings)
    layers = {"vision_model": settings.vision_config.num_hidden_layers, "text_model": settings.text_config.num_hidden_layers}
    with torch.no_grad():
        for stream, (name, parameter) in enumerate(sorted(model.named_parameters())):
            if parameter.dim() == 1:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            deviation = DEVIATION
            if re.search(r"(out_proj|o_proj|fc2|down_proj)\.weight$", name):
                tower = next(layers[part] for part in layers if part in name)
                deviation /= (2 * tower) ** 0.5
            parameter.copy_(drawn(stream, *parameter.shape) * deviation)
    return model


@torch.no_grad()
def prepare_words(model: Idefics3ForConditionalGeneration, prompts: Prompts) -> None:
    """Makes the word embeddings as long as image tokens are to be, and those of plurals like their singulars'."""
    embeddings = model.model.text_model.embed_tokens.weight
    embeddings.mul_(LENGTH / (DEVIATION * embeddings.shape[1] ** 0.5))
    for singular, plural in PLURALS.items():
        one, many = prompts.word(singular), prompts.word(plural)
        embeddings[many] = 0.8 * embeddings[one] + 0.6 * embeddings[many]


@torch.no_grad()
def prepare_heads(model: Idefics3ForConditionalGeneration) -> None:
    """Lets the decoder's heads begin as ones that look words up (cf. mimetic initialisation, Trockman and Kolter, 2023).

    Half of them have one and the same random projection for queries and keys, in the slowly rotating pairs of RoPE alone, so that a
    word attends to what says it, however far away. All write a part of what they read.
    """
    settings = model.config.text_config
    size, half, quarter = settings.hidden_size, settings.num_attention_heads // 2, settings.head_dim // 4
    for index, layer in enumerate(model.model.text_model.layers):
        alike = drawn(10_000 + index, half, settings.head_dim, size) * 0.1
        alike[:, :quarter] = 0
        alike[:, 2 * quarter : 3 * quarter] = 0
        for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj):
            projection.weight[: half * settings.head_dim] = alike.flatten(0, 1)
        basis = torch.linalg.qr(drawn(20_000 + index, size, size).double()).Q.float()
        layer.self_attn.v_proj.weight.copy_(basis.T * 0.5)
        layer.self_attn.o_proj.weight.copy_(basis * 0.5)


class Meanings:
    """What image tokens are to be: sums of the embeddings of their cell's words, and of vectors that say which cell it is.

    A place has a vector of its row, one of its column and, growing from the left and from the top, one of each direction.
    """

    def __init__(self, model: Idefics3ForConditionalGeneration, prompts: Prompts) -> None:
        self.prompts = prompts
        self.embeddings = model.model.text_model.embed_tokens.weight.detach().clone()
        size, side = self.embeddings.shape[1], int(IMAGE_TOKENS**0.5)
        rows, columns, directions = (
            functional.normalize(drawn(30_000 + index, count, size), dim=-1) for index, count in enumerate((side, side, 2))
        )
        along = torch.linspace(-1, 1, side)
        down, across = along[:, None, None] * directions[0], along[None, :, None] * directions[1]
        self.places = (0.5 * rows[:, None] + 0.5 * columns[None] + down + across).reshape(IMAGE_TOKENS, size) * LENGTH

    def cells(self, samples: list[Sample]) -> list[list[list[int]]]:
        """By image and cell: the words' ids."""
        return [[[self.prompts.word(word) for word in cell or [NOTHING]] for cell in sample["cells"]] for sample in samples]

    def tokens(self, samples: list[Sample]) -> torch.Tensor:
        """[images, 64, 256]"""
        sums = [[self.embeddings[ids].sum(0) for ids in cells] for cells in self.cells(samples)]
        return torch.stack([torch.stack(row) for row in sums]) + self.places


def meaning_loss(meanings: Meanings, features: torch.Tensor, samples: list[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
    """How far image tokens are from what they are to be, and how badly each known word is told to be or not to be in its cell. Cells
    without words count a twentieth."""
    ids = meanings.cells(samples)
    nothing = meanings.prompts.word(NOTHING)
    weights = torch.tensor([[0.05 if cell == [nothing] else 1.0 for cell in cells] for cells in ids])
    said = torch.zeros(len(ids), IMAGE_TOKENS, len(meanings.embeddings))
    for row, cells in enumerate(ids):
        for column, words in enumerate(cells):
            said[row, column, words] = 1
    known = torch.tensor(sorted({meanings.prompts.word(word) for word in CELL_WORDS}))
    distance = (features - meanings.tokens(samples)).square().sum(-1) / LENGTH**2
    # One where a word is said, none where it is not.
    found = (features - meanings.places) @ meanings.embeddings[known].T / LENGTH**2
    surprise = functional.binary_cross_entropy_with_logits((found - 0.5) * 6, said[:, :, known], reduction="none").sum(-1)
    return (distance * weights).sum() / weights.sum(), (surprise * weights).sum() / weights.sum()


# Words for a difference along an axis (of rows, of columns) below zero and above.
RELATIONS = (("above", "below"), ("left", "right"))


def drills(sample: Sample, generator: np.random.Generator, pairs: int, singles: int) -> list[Sample]:
    """Further questions that the cells of a scene answer, of the kinds that are learned slowly: how pairs of shapes that occur once lie to
    each other, and how many there are of each shape that occurs more than once and of some others."""
    places: dict[str, list[tuple[int, int]]] = {}
    side = int(len(sample["cells"]) ** 0.5)
    for index, words in enumerate(sample["cells"]):
        for noun in words:
            if noun in PLURALS:
                places.setdefault(noun, []).append(divmod(index, side))
    single = [noun for noun, found in places.items() if len(found) == 1]
    counted = [noun for noun, found in places.items() if 1 < len(found) < 10]
    counted += [str(noun) for noun in generator.permutation(single)[:singles]]
    asked = [{"kind": "count", "text": f"How many {PLURALS[noun]} are there?", "answer": str(len(places[noun]))} for noun in counted]
    for _ in range(pairs if len(single) > 1 else 0):
        first, second = generator.choice(single, size=2, replace=False)
        axis, turned = generator.integers(2, size=2)
        difference = places[first][0][axis] - places[second][0][axis]
        # Two cells apart are more than the distance at which the generator asks.
        if abs(difference) > 1:
            either = " or ".join(RELATIONS[axis][::-1] if turned else RELATIONS[axis])
            text = f"Is the {first} {either}{' of' if axis == 1 else ''} the {second}?"
            asked.append({"kind": "relation", "text": text, "answer": RELATIONS[axis][int(difference > 0)]})
    return asked


class Scenes:
    """Scenes of a file: images u8 [count, 128, 128, 3], mapped, and their questions."""

    def __init__(self, folder: Path, name: str) -> None:
        self.samples: list[Sample] = [json.loads(line) for line in (folder / f"{name}.jsonl").open()]
        self.images = np.memmap(folder / f"{name}.u8", np.uint8, "r").reshape(-1, IMAGE, IMAGE, 3)
        # Indices by kind.
        self.kinds: dict[str, list[int]] = {}
        for index, sample in enumerate(self.samples):
            self.kinds.setdefault(sample["kind"], []).append(index)


def pixels(images: np.ndarray) -> torch.Tensor:
    """f32 [images, 3, 128, 128] from -1 to 1."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def image_features(model: Idefics3ForConditionalGeneration, images: torch.Tensor) -> torch.Tensor:
    """[images, 64, 256]: what stands for the image tokens."""
    return model.model.connector(model.model.vision_model(images).last_hidden_state)


def packed(prompts: Prompts, turns: list[list[tuple[list[int], list[int]]]]) -> dict[str, torch.Tensor]:
    """One row per image: the prefix once, then its turns, each of which sees the prefix and itself alone and stands where it would
    stand without the others."""
    prefix = len(prompts.prefix)
    length = prefix + max(sum(len(asked) + len(answer) for asked, answer in row) for row in turns)
    ids = np.full((len(turns), length), prompts.end)
    positions = np.zeros((len(turns), length), dtype=np.int64)
    segments = np.full((len(turns), length), -1)
    targets = np.full((len(turns), length), -1)
    ids[:, :prefix], positions[:, :prefix], segments[:, :prefix] = prompts.prefix, np.arange(prefix), 0
    for index, row in enumerate(turns):
        at = prefix
        for number, (asked, answer) in enumerate(row):
            end = at + len(asked) + len(answer)
            ids[index, at:end] = asked + answer
            positions[index, at:end] = prefix + np.arange(end - at)
            segments[index, at:end] = number + 1
            targets[index, at + len(asked) - 1 : end - 1] = answer
            at = end
    same = (segments[:, :, None] == segments[:, None, :]) | (segments[:, None, :] == 0)
    causal = np.tril(np.ones((length, length), dtype=bool))
    mask = np.where(same & causal, 0.0, torch.finfo(torch.float32).min).astype(np.float32)
    return {
        "ids": torch.from_numpy(ids),
        "positions": torch.from_numpy(positions),
        "mask": torch.from_numpy(mask)[:, None],
        "targets": torch.from_numpy(targets),
        "segments": torch.from_numpy(segments),
    }


def decode(text_model: torch.nn.Module, x: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, layers: int) -> torch.Tensor:
    """What transformers' Llama computes with its first layers, [rows, length, 256], without what it does besides: training is faster."""
    settings = text_model.config
    width, epsilon, half = settings.head_dim, settings.rms_norm_eps, settings.head_dim // 2
    angles = positions[..., None].float() * 10000.0 ** (-torch.arange(half) / half)
    cos = torch.cat([angles.cos()] * 2, -1)[:, None]
    sin = torch.cat([-angles.sin(), angles.sin()], -1)[:, None]
    for layer in text_model.layers[:layers]:
        own = layer.self_attn
        h = functional.rms_norm(x, x.shape[-1:], layer.input_layernorm.weight, epsilon)
        q, k, v = (part(h).unflatten(-1, (-1, width)).transpose(1, 2) for part in (own.q_proj, own.k_proj, own.v_proj))
        q, k = (part * cos + part.roll(half, -1) * sin for part in (q, k))
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + own.o_proj(mixed.transpose(1, 2).flatten(2))
        h = functional.rms_norm(x, x.shape[-1:], layer.post_attention_layernorm.weight, epsilon)
        x = x + layer.mlp.down_proj(functional.silu(layer.mlp.gate_proj(h)) * layer.mlp.up_proj(h))
    return functional.rms_norm(x, x.shape[-1:], text_model.norm.weight, epsilon)


def answer_logits(
    model: Idefics3ForConditionalGeneration, features: torch.Tensor, batch: dict[str, torch.Tensor], layers: int | None = None
) -> torch.Tensor:
    """[answer tokens, vocabulary]: what the model says where it is to answer, with all of the decoder's layers or the first alone."""
    text_model = model.model.text_model
    at = (batch["ids"] == model.config.image_token_id)[..., None]
    inputs = text_model.embed_tokens(batch["ids"]).masked_scatter(at, features)
    hidden = decode(text_model, inputs, batch["positions"], batch["mask"], layers or len(text_model.layers))
    return model.lm_head(hidden[batch["targets"] >= 0])


def answer_loss(
    model: Idefics3ForConditionalGeneration,
    features: torch.Tensor,
    batch: dict[str, torch.Tensor],
    layers: int | None = None,
    alike: bool = False,
) -> torch.Tensor:
    """The mean over tokens of answers or, if answers count alike however long they are, over answers."""
    targets = batch["targets"]
    logits = answer_logits(model, features, batch, layers)
    if not alike:
        return functional.cross_entropy(logits, targets[targets >= 0])
    answers = batch["segments"] + torch.arange(len(targets))[:, None] * targets.shape[1]
    _, which, lengths = answers[targets >= 0].unique(return_inverse=True, return_counts=True)
    losses = functional.cross_entropy(logits, targets[targets >= 0], reduction="none")
    return (losses / lengths[which]).sum() / len(lengths)


@torch.no_grad()
def accuracies(
    model: Idefics3ForConditionalGeneration, prompts: Prompts, scenes: Scenes, chosen: list[int], blind: bool = False
) -> dict[str, dict[str, list[int]]]:
    """By question kind (existence by its negatives) and level: how many answers are right in all tokens, of how many.

    An answer whose every token is the likeliest after those before it is what greedy decoding gives. Blind: the image is grey.
    """
    found: dict[str, dict[str, list[int]]] = {}
    for start in range(0, len(chosen), 8):
        part = chosen[start : start + 8]
        samples = [scenes.samples[index] for index in part]
        images = pixels(scenes.images[part])
        features = image_features(model, torch.zeros_like(images) if blind else images)
        batch = packed(prompts, [[prompts.turn(question) for question in sample["questions"]] for sample in samples])
        targets = batch["targets"]
        right = torch.ones_like(targets, dtype=torch.bool)
        right[targets >= 0] = answer_logits(model, features, batch).argmax(-1) == targets[targets >= 0]
        for row, sample in enumerate(samples):
            for number, question in enumerate(sample["questions"]):
                kind = question["kind"] + (f" {question['negatives']}" if "negatives" in question else "")
                counts = found.setdefault(kind, {}).setdefault(str(sample["level"]), [0, 0])
                counts[0] += bool(right[row][batch["segments"][row] == number + 1].all())
                counts[1] += 1
    return found
