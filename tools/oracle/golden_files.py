"""Where golden data goes, and how it is written: deterministic bytes, small files."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
CORE_GOLDEN = ROOT / "packages" / "core" / "test" / "golden"
MODELS_GOLDEN = ROOT / "packages" / "models" / "test" / "golden"


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], made_by: str) -> None:
    """Writes tensors as safetensors; `made_by` is the script's name and the versions that it used."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, path, metadata={"made_by": made_by})
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


def write_json(path: Path, value: dict[str, object]) -> None:
    """Writes an object whose lists have one element per line, so that differences can be read."""

    def lines(item: object) -> str:
        if not isinstance(item, list):
            return json.dumps(item)
        return "[\n" + ",\n".join(json.dumps(element) for element in item) + "\n]"

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(f"{json.dumps(key)}: {lines(item)}" for key, item in value.items()) + "\n}\n")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


def provenance(script: str, *modules: object) -> str:
    """`core_ops.py, torch 2.15.0, transformers 5.23.0`"""
    return ", ".join([script, *(f"{module.__name__} {module.__version__}" for module in modules)])
