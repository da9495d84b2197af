"""Small random checkpoints of models that see, transformers' image processors on small pictures, and its logits, in f32.

Each folder holds what a checkpoint folder holds (configuration, weights, tokenizer, chat template, image processor) and
golden.safetensors: two pictures, and for a prompt with one and a prompt with both of them pixel values, ids, logits of the prompt
and greedy decoding with a cache. prompts.json has the conversations.

    python random_vision_models.py            # all
    python random_vision_models.py llava      # those whose names begin so
"""

import json
import shutil
import sys

import numpy as np
import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    CLIPImageProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    SiglipImageProcessor,
    SiglipVisionConfig,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
)

from golden_files import MODELS_GOLDEN, provenance, write_json, write_tensors

STEPS = 6
MADE_BY = provenance("random_vision_models.py", torch, transformers)

# Bytes, then the special tokens of all three families.
SPECIAL = ["<s>", "</s>", "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
SPECIAL += [f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)]
SPECIAL += ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
VOCABULARY = 256 + len(SPECIAL)
ID = {text: 256 + index for index, text in enumerate(SPECIAL)}

TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "initializer_range": 0.15,
    "bos_token_id": ID["<s>"],
    "eos_token_id": ID["</s>"],
    "pad_token_id": ID["</s>"],
}
LLAMA = TEXT | {"model_type": "llama", "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
VISION = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "patch_size": 8,
    "image_size": 32,
    "initializer_range": 0.15,
    "initializer_factor": 8.0,
}

LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] | trim + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
IDEFICS_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
QWEN_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou help.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer(bos: bool) -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={text: index for index, text in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in SPECIAL])
    if bos:
        made.post_processor = tokenizers.processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", ID["<s>"])]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="</s>",
        pad_token="</s>",
        extra_special_tokens={"image_token": "<|image_pad|>" if not bos else "<image>"},
        **({"bos_token": "<s>"} if bos else {}),
    )


def picture(seed: int, height: int, width: int) -> np.ndarray:
    """Slopes, a bright rectangle and noise: [height, width, 3] bytes."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([255 * x / width, 255 * y / height, 127 + 120 * np.sin((x + 2 * y) / 5)], axis=-1)
    base[height // 4 : height // 2, width // 3 : 2 * width // 3] = [250, 20, 180]
    return np.clip(base + random.normal(0, 12, base.shape), 0, 255).astype(np.uint8)


def llava():
    vision = CLIPVisionConfig(**VISION, projection_dim=16)
    config = LlavaConfig(vision_config=vision, text_config=LLAMA, image_token_index=ID["<image>"])
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = LlavaProcessor(
        images, tokenizer(True), patch_size=8, vision_feature_select_strategy="default", image_token="<image>",
        num_additional_image_tokens=1, chat_template=LLAVA_TEMPLATE,
    )  # fmt: skip
    return LlavaForConditionalGeneration(config), processor


def llava_siglip():
    vision = SiglipVisionConfig(**VISION, vision_use_head=False)
    config = LlavaConfig(
        vision_config=vision, text_config=LLAMA, image_token_index=ID["<image>"], vision_feature_layer=-1,
        vision_feature_select_strategy="full", multimodal_projector_bias=False,
    )  # fmt: skip
    images = SiglipImageProcessor(size={"height": 32, "width": 32})
    processor = LlavaProcessor(
        images, tokenizer(True), patch_size=8, vision_feature_select_strategy="full", image_token="<image>",
        chat_template=LLAVA_TEMPLATE,
    )  # fmt: skip
    return LlavaForConditionalGeneration(config), processor


def idefics3(split: bool = False, small: bool = False):
    vision = {name: value for name, value in VISION.items() if name != "initializer_factor"}
    shared = {
        "vision_config": vision,
        "text_config": LLAMA | {"pad_token_id": ID["</s>"]},
        "image_token_id": ID["<image>"],
        "scale_factor": 2,
        "pad_token_id": ID["</s>"],
        "tie_word_embeddings": small,
    }
    options = {
        "size": {"longest_edge": 64},
        "max_image_size": {"longest_edge": 32},
        "do_image_splitting": split,
        "resample": 1,
    }
    if small:
        model = SmolVLMForConditionalGeneration(SmolVLMConfig(**shared))
        images = SmolVLMImageProcessor(**options)
        # SmolVLM's own processor handles images alike, and wants a package for videos.
        processor = Idefics3Processor(images, tokenizer(False), image_seq_len=4, chat_template=IDEFICS_TEMPLATE)
        return model, processor
    model = Idefics3ForConditionalGeneration(Idefics3Config(**shared))
    images = Idefics3ImageProcessor(**options)
    return model, Idefics3Processor(images, tokenizer(False), image_seq_len=4, chat_template=IDEFICS_TEMPLATE)


def qwen2_vl(tied: bool = False):
    text = TEXT | {
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
        "tie_word_embeddings": tied,
    }
    vision = {
        "depth": 2, "embed_dim": 48, "hidden_size": 64, "mlp_ratio": 2, "num_heads": 3, "patch_size": 8,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "initializer_range": 0.15,
    }  # fmt: skip
    config = Qwen2VLConfig(
        text_config=text, vision_config=vision, image_token_id=ID["<|image_pad|>"], video_token_id=ID["<|video_pad|>"],
        vision_start_token_id=ID["<|vision_start|>"], vision_end_token_id=ID["<|vision_end|>"], tie_word_embeddings=tied,
    )  # fmt: skip
    images = Qwen2VLImageProcessor(patch_size=8, merge_size=2, size={"shortest_edge": 512, "longest_edge": 3072})
    from transformers import Qwen2VLVideoProcessor

    processor = Qwen2VLProcessor(images, tokenizer(False), Qwen2VLVideoProcessor(), chat_template=QWEN_TEMPLATE)
    return Qwen2VLForConditionalGeneration(config), processor


# Name: what it is, whether weights have transformers' present names rather than those of the published checkpoints.
VARIANTS = {
    "llava": (llava, False),
    "llava-siglip": (llava_siglip, True),
    "idefics3": (idefics3, False),
    "smolvlm-split": (lambda: idefics3(split=True, small=True), True),
    "qwen2-vl": (qwen2_vl, True),
    "qwen2-vl-flat": (lambda: qwen2_vl(tied=True), False),
}


def flatten_config(path):
    """The form of the published Qwen2-VL configurations: the language model's values beside the others."""
    config = json.loads(path.read_text())
    text = config.pop("text_config")
    parameters = text.pop("rope_parameters")
    text.pop("model_type"), text.pop("layer_types", None)
    text |= {"rope_theta": parameters["rope_theta"], "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}}
    path.write_text(json.dumps(text | config, indent=2) + "\n")


def messages(count: int) -> list[dict]:
    if count == 1:
        return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it? Né."}]}]
    return [
        {
            "role": "user",
            "content": [
                {"type": "image"},
                {"type": "text", "text": "Before."},
                {"type": "image"},
                {"type": "text", "text": " And after?"},
            ],
        }
    ]


def run(model, processor, pictures: list[np.ndarray], prefix: str) -> dict[str, torch.Tensor]:
    text = processor.apply_chat_template(messages(len(pictures)), add_generation_prompt=True, tokenize=False)
    inputs = processor(images=pictures, text=[text], return_tensors="pt")
    pixels = inputs["pixel_values"]
    with torch.no_grad():
        logits = model(**inputs).logits[0]
        made = model.generate(
            **inputs, max_new_tokens=STEPS, min_new_tokens=STEPS, do_sample=False, output_logits=True,
            return_dict_in_generate=True,
        )  # fmt: skip
    ids = made.sequences[0, inputs["input_ids"].shape[1] :]
    # After each continued token but the last; generate gives the logits before each.
    steps = torch.stack([step[0] for step in made.logits])
    out = {
        "input_ids": inputs["input_ids"][0].to(torch.int32),
        "pixel_values": pixels.to(torch.float32),
        "logits": logits if prefix == "one" else logits[-1:],
        "continuation_ids": ids.to(torch.int32),
        "continuation_logits": steps,
    }
    return {f"{prefix}.{name}": value for name, value in out.items()}


def main() -> None:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for name, (make, present) in VARIANTS.items():
        if not name.startswith(wanted):
            continue
        folder = MODELS_GOLDEN / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        torch.manual_seed(sum(map(ord, name)))
        model, processor = make()
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if parameter.ndim == 1:
                    parameter.add_(0.2 * torch.randn_like(parameter))
                elif "position_embedding" in key or "class_embedding" in key or "patch_embed" in key:
                    parameter.copy_(0.3 * torch.randn_like(parameter) if "position" in key else 0.08 * torch.randn_like(parameter))
                parameter.copy_(parameter.to(torch.bfloat16).to(torch.float32))
        model.eval()
        model.generation_config.eos_token_id = None
        first, second = picture(1, 41, 57), picture(2, 60, 33)
        golden = {"image_0": torch.tensor(first), "image_1": torch.tensor(second)}
        golden |= run(model, processor, [first], "one") | run(model, processor, [first, second], "two")
        write_tensors(folder / "golden.safetensors", golden, MADE_BY)
        half = model.to(torch.bfloat16)
        half.config.save_pretrained(folder)
        if present:
            state = {key: value.contiguous() for key, value in half.state_dict().items()}
            if half.config.tie_word_embeddings:
                state.pop("lm_head.weight")
            save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        else:
            half.save_pretrained(folder)
            (folder / "generation_config.json").unlink(missing_ok=True)
        processor.save_pretrained(folder)
        if name == "qwen2-vl-flat":
            flatten_config(folder / "config.json")
        write_json(folder / "prompts.json", {"one": messages(1), "two": messages(2)})


if __name__ == "__main__":
    main()
