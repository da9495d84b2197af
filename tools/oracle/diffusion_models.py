"""Small random diffusion transformers in diffusers' own format, and their outputs in f32.

Weights are stored in f16 and the outputs are those of the rounded weights, so that files stay small and nothing else is rounded.
"""

import json

import diffusers
import torch
from diffusers import AutoencoderKL, CogVideoXTransformer3DModel, DiTTransformer2DModel, PixArtTransformer2DModel
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid
from safetensors.torch import save_file

from golden_files import MODELS_GOLDEN, provenance, write_tensors

MADE_BY = provenance("diffusion_models.py", torch, diffusers)


def rounded(model: torch.nn.Module) -> torch.nn.Module:
    """The model with weights that f16 holds, every one of them random: parameters that start as zero or one would test nothing."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim == 1:
                value.add_(0.1 * torch.randn_like(value))
            value.copy_(value.half().float())
    return model.eval()


def save(model: torch.nn.Module, folder: str) -> None:
    """config.json and diffusion_pytorch_model.safetensors in f16, without the library's own version in the configuration."""
    path = MODELS_GOLDEN / "diffusion" / folder
    path.mkdir(parents=True, exist_ok=True)
    config = {key: value for key, value in dict(model.config).items() if not key.startswith("_") or key == "_class_name"}
    config["_class_name"] = type(model).__name__
    (path / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, path / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def dit() -> None:
    torch.manual_seed(1)
    model = rounded(
        DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=8, num_layers=2, sample_size=8,
            patch_size=2, num_embeds_ada_norm=5,
        )
    )
    save(model, "dit")
    golden: dict[str, torch.Tensor] = {}
    # The second size is not the one that it was made for: positions are interpolated.
    for name, size, timestep in (("native", 8, 801), ("larger", 12, 7)):
        sample = torch.randn(2, 4, size, size)
        labels = torch.tensor([3, 5])
        with torch.no_grad():
            output = model(sample, timestep=torch.full((2,), timestep), class_labels=labels).sample
        golden |= {f"{name}.sample": sample, f"{name}.timestep": torch.tensor([timestep]).int(), f"{name}.output": output}
        golden[f"{name}.labels"] = labels.int()
    write_tensors(MODELS_GOLDEN / "diffusion" / "dit" / "golden.safetensors", golden, MADE_BY)


def pixart(folder: str, conditions: bool) -> None:
    torch.manual_seed(2)
    model = rounded(
        PixArtTransformer2DModel(
            num_attention_heads=3, attention_head_dim=16, in_channels=4, out_channels=8, num_layers=2,
            cross_attention_dim=48, sample_size=8, patch_size=2, caption_channels=20, interpolation_scale=2,
            use_additional_conditions=conditions,
        )
    )
    save(model, folder)
    sample = torch.randn(2, 4, 8, 12)
    captions = torch.randn(2, 7, 20)
    lengths = torch.tensor([7, 4])
    mask = (torch.arange(7)[None] < lengths[:, None]).float()
    timestep = 434
    resolution, ratio = torch.tensor([[64.0, 96.0]]).repeat(2, 1), torch.tensor([[64 / 96]]).repeat(2, 1)
    added = {"resolution": resolution, "aspect_ratio": ratio} if conditions else {"resolution": None, "aspect_ratio": None}
    with torch.no_grad():
        output = model(
            sample, encoder_hidden_states=captions, timestep=torch.full((2,), timestep), added_cond_kwargs=added,
            encoder_attention_mask=mask,
        ).sample
    golden = {"sample": sample, "captions": captions, "lengths": lengths.int(), "output": output}
    golden["timestep"] = torch.tensor([timestep]).int()
    golden["resolution"], golden["ratio"] = resolution, ratio
    write_tensors(MODELS_GOLDEN / "diffusion" / folder / "golden.safetensors", golden, MADE_BY)


def cogvideox(folder: str, rotary: bool) -> None:
    torch.manual_seed(3)
    height, width, frames, text = 8, 12, 3, 5
    model = rounded(
        CogVideoXTransformer3DModel(
            num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4, time_embed_dim=24,
            text_embed_dim=20, num_layers=2, sample_width=width, sample_height=height, sample_frames=9, patch_size=2,
            temporal_compression_ratio=4, max_text_seq_length=text, use_rotary_positional_embeddings=rotary,
        )
    )
    save(model, folder)
    golden: dict[str, torch.Tensor] = {}
    for name, (rows, columns, count) in {"native": (height, width, frames), "other": (12, 8, 2)}.items():
        sample = torch.randn(2, count, 4, rows, columns)
        captions = torch.randn(2, text, 20)
        grid = (rows // 2, columns // 2)
        crop = get_resize_crop_region_for_grid(grid, width // 2, height // 2)
        positions = get_3d_rotary_pos_embed(16, crop, grid, count) if rotary else None
        with torch.no_grad():
            output = model(
                sample, encoder_hidden_states=captions, timestep=torch.full((2,), 615), image_rotary_emb=positions
            ).sample
        golden |= {f"{name}.sample": sample, f"{name}.captions": captions, f"{name}.output": output}
        golden[f"{name}.timestep"] = torch.tensor([615]).int()
    write_tensors(MODELS_GOLDEN / "diffusion" / folder / "golden.safetensors", golden, MADE_BY)


def autoencoder() -> None:
    torch.manual_seed(4)
    model = rounded(
        AutoencoderKL(
            block_out_channels=(16, 32), down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, latent_channels=4, norm_num_groups=8,
        )
    )
    save(model, "autoencoder")
    # Only the decoder is read.
    path = MODELS_GOLDEN / "diffusion" / "autoencoder" / "diffusion_pytorch_model.safetensors"
    weights = {
        name: value.half().contiguous()
        for name, value in model.state_dict().items()
        if name.startswith(("decoder.", "post_quant_conv."))
    }
    save_file(weights, path, metadata={"format": "pt"})
    latents = torch.randn(2, 4, 6, 8)
    with torch.no_grad():
        image = model.decode(latents / model.config.scaling_factor).sample
    write_tensors(path.with_name("golden.safetensors"), {"latents": latents, "image": image}, MADE_BY)


if __name__ == "__main__":
    autoencoder()
    dit()
    pixart("pixart-alpha", conditions=True)
    pixart("pixart-sigma", conditions=False)
    cogvideox("cogvideox-sincos", rotary=False)
    cogvideox("cogvideox-rotary", rotary=True)
