"""Every step of diffusers' schedulers on the outputs of a toy network, in f32.

The toy network predicts tanh of a mixture of sample and timestep, so that a wrong sample or timestep anywhere changes all that
follows. Noise that a step adds is given from outside.
"""

import json
from unittest import mock

import diffusers
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
)

from golden_files import MODELS_GOLDEN, provenance, write_tensors

MADE_BY = provenance("diffusion_schedulers.py", torch, diffusers)
PIXART = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}
CASES = {
    "ddpm": (DDPMScheduler, {}, 10),
    "ddpm-large": (DDPMScheduler, {"variance_type": "fixed_large", "clip_sample": False, "timestep_spacing": "trailing"}, 7),
    "ddpm-v": (DDPMScheduler, {"prediction_type": "v_prediction", "beta_schedule": "squaredcos_cap_v2"}, 5),
    "ddim": (DDIMScheduler, {"clip_sample": False}, 12),
    "ddim-clipped": (DDIMScheduler, {"set_alpha_to_one": False, "steps_offset": 1, "beta_schedule": "scaled_linear"}, 6),
    "ddim-eta": (DDIMScheduler, {"clip_sample": False, "timestep_spacing": "trailing"}, 9),
    "ddim-sample": (DDIMScheduler, {"prediction_type": "sample", "timestep_spacing": "linspace"}, 4),
    "ddim-zero-snr": (
        DDIMScheduler,
        {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "clip_sample": False},
        8,
    ),
    "dpm": (DPMSolverMultistepScheduler, PIXART, 20),
    "dpm-few": (DPMSolverMultistepScheduler, {**PIXART, "timestep_spacing": "leading", "steps_offset": 1}, 6),
    "dpm-heun": (DPMSolverMultistepScheduler, {"solver_type": "heun", "final_sigmas_type": "sigma_min", "timestep_spacing": "trailing"}, 16),
    "dpm-first": (DPMSolverMultistepScheduler, {"solver_order": 1, "prediction_type": "v_prediction"}, 5),
    "flow": (FlowMatchEulerDiscreteScheduler, {"shift": 3.0}, 8),
    "flow-plain": (FlowMatchEulerDiscreteScheduler, {}, 1),
    "cogvideox": (
        CogVideoXDDIMScheduler,
        {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
        10,
    ),
}


def predict(sample: torch.Tensor, timestep: float) -> torch.Tensor:
    return torch.tanh(0.7 * sample.flip(-1) + 0.001 * timestep)


def run(name: str, kind: type, options: dict[str, object], steps: int) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    torch.manual_seed(sum(map(ord, name)))
    scheduler = kind(**options)
    scheduler.set_timesteps(steps)
    sample = torch.randn(1, 2, 3, 4)
    samples, noises, timesteps = [sample], [], []
    eta = {"eta": 0.6} if name == "ddim-eta" else {}
    for timestep in scheduler.timesteps:
        noise = torch.randn_like(sample)
        module = kind.__module__
        output = predict(sample, float(timestep))
        with mock.patch(f"{module}.randn_tensor", lambda *_, noise=noise, **__: noise, create=True):
            sample = scheduler.step(output, timestep, sample, **eta).prev_sample
        samples.append(sample)
        noises.append(noise)
        timesteps.append(float(timestep))
    golden = {
        f"{name}.samples": torch.cat(samples),
        f"{name}.noises": torch.cat(noises),
        f"{name}.timesteps": torch.tensor(timesteps),
    }
    config = {key: value for key, value in scheduler.config.items() if not key.startswith("_") and key != "trained_betas"}
    return golden, {"_class_name": kind.__name__, **config}


if __name__ == "__main__":
    tensors: dict[str, torch.Tensor] = {}
    configs: dict[str, object] = {}
    for case, (kind, options, steps) in CASES.items():
        golden, configs[case] = run(case, kind, options, steps)
        tensors |= golden
    folder = MODELS_GOLDEN / "diffusion"
    write_tensors(folder / "schedulers.safetensors", tensors, MADE_BY)
    text = json.dumps(configs, indent=1, default=lambda value: None)
    (folder / "schedulers.json").write_text(text.replace("-Infinity", "null") + "\n")
