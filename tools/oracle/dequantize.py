"""Golden blocks for the dequantizers: raw GGUF blocks and the `gguf` package's own f32 values.

The blocks are random bytes rather than quantized weights, so that every quant occurs; the scales are drawn from all
finite halves, subnormal and negative ones included.
"""

from importlib.metadata import version

import gguf
import numpy as np
import torch

from golden_files import CORE_GOLDEN, write_tensors

# Bytes of a block, and where its halves stand (scale; scale and minimum). K-quants have 256 elements per block, the others 32.
TYPES = {
    "q4_0": (18, [0]),
    "q4_1": (20, [0, 2]),
    "q5_0": (22, [0]),
    "q5_1": (24, [0, 2]),
    "q8_0": (34, [0]),
    "iq4_nl": (18, [0]),
    "q2_k": (84, [80, 82]),
    "q3_k": (110, [108]),
    "q4_k": (144, [0, 2]),
    "q5_k": (176, [0, 2]),
    "q6_k": (210, [208]),
}


def random_blocks(generator: np.random.Generator, count: int, block_bytes: int, halves: list[int]) -> np.ndarray:
    blocks = generator.integers(0, 256, size=(count, block_bytes), dtype=np.uint8)
    heads = generator.normal(0, 0.05, size=(count, len(halves))).astype(np.float16)
    bits = generator.integers(0, 2**16, size=(count // 2, len(halves)), dtype=np.uint16)
    bits[(bits & 0x7C00) == 0x7C00] &= 0x83FF
    heads[: count // 2] = bits.view(np.float16)
    heads[0] = 0
    for index, at in enumerate(halves):
        blocks[:, at : at + 2] = heads[:, index : index + 1].view(np.uint8)
    return blocks


def main() -> None:
    generator = np.random.default_rng(20)
    tensors: dict[str, torch.Tensor] = {}
    for name, (block_bytes, halves) in TYPES.items():
        kind = gguf.GGMLQuantizationType[name.upper()]
        count = 16 if name.endswith("_k") else 48
        blocks = random_blocks(generator, count, block_bytes, halves)
        values = gguf.dequantize(blocks, kind)
        assert values.dtype == np.float32 and np.isfinite(values).all()
        tensors[f"{name}.blocks"] = torch.from_numpy(blocks)
        tensors[f"{name}.values"] = torch.from_numpy(values.copy())
    write_tensors(CORE_GOLDEN / "dequantize.safetensors", tensors, f"dequantize.py, gguf {version('gguf')}")


if __name__ == "__main__":
    main()
