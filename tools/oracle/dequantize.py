"""Golden blocks for the dequantizers: raw GGUF blocks and the `gguf` package's own f32 values.

The blocks are random bytes rather than quantized weights, so that every quant occurs; the scales are drawn from all
finite halves, subnormal and negative ones included.
"""

from importlib.metadata import version

import gguf
import numpy as np
import torch

from golden_files import CORE_GOLDEN, write_tensors

BLOCKS = 48
# Bytes of a block and how many halves it begins with (scale; scale and minimum).
TYPES = {"q4_0": (18, 1), "q4_1": (20, 2), "q8_0": (34, 1)}


def random_blocks(generator: np.random.Generator, block_bytes: int, halves: int) -> np.ndarray:
    blocks = generator.integers(0, 256, size=(BLOCKS, block_bytes), dtype=np.uint8)
    heads = generator.normal(0, 0.05, size=(BLOCKS, halves)).astype(np.float16)
    bits = generator.integers(0, 2**16, size=(BLOCKS // 2, halves), dtype=np.uint16)
    bits[(bits & 0x7C00) == 0x7C00] &= 0x83FF
    heads[: BLOCKS // 2] = bits.view(np.float16)
    heads[0] = 0
    blocks[:, : 2 * halves] = heads.view(np.uint8)
    return blocks


def main() -> None:
    generator = np.random.default_rng(20)
    tensors: dict[str, torch.Tensor] = {}
    for name, (block_bytes, halves) in TYPES.items():
        blocks = random_blocks(generator, block_bytes, halves)
        values = gguf.dequantize(blocks, gguf.GGMLQuantizationType[name.upper()])
        assert values.dtype == np.float32 and np.isfinite(values).all()
        tensors[f"{name}.blocks"] = torch.from_numpy(blocks)
        tensors[f"{name}.values"] = torch.from_numpy(values.copy())
    write_tensors(CORE_GOLDEN / "dequantize.safetensors", tensors, f"dequantize.py, gguf {version('gguf')}")


if __name__ == "__main__":
    main()
