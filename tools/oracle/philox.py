"""The core's random numbers: Philox4x32-10 in numpy, its uniform, normal and Gumbel tensors, and the host's stream of choices."""

import numpy as np

HOST_DOMAIN = 0x686F7374
U32 = np.uint64(0xFFFFFFFF)


def philox(counters: np.ndarray, seed: int) -> np.ndarray:
    """u32 [n, 4] words of u64 [n, 4] counters (each below 2^32)."""
    a, b, c, d = (counters[:, i].astype(np.uint64) for i in range(4))
    key_a, key_b = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        product_a, product_b = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = (
            (product_b >> np.uint64(32)) ^ b ^ np.uint64(key_a),
            product_b & U32,
            (product_a >> np.uint64(32)) ^ d ^ np.uint64(key_b),
            product_a & U32,
        )
        key_a, key_b = (key_a + 0x9E3779B9) & 0xFFFFFFFF, (key_b + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([a, b, c, d], axis=1).astype(np.uint32)


def words(count: int, seed: int, stream: int, domain: int) -> np.ndarray:
    counters = np.zeros((-(-count // 4), 4), dtype=np.uint64)
    counters[:, 0] = np.arange(len(counters))
    counters[:, 2], counters[:, 3] = stream, domain
    return philox(counters, seed).reshape(-1)[:count]


def uniform(count: int, seed: int, stream: int) -> np.ndarray:
    """f32 in [0, 1), as `randomUniform`."""
    return ((words(count, seed, stream, 0) >> 8) * np.float32(2**-24)).astype(np.float32)


def normal(count: int, seed: int, stream: int) -> np.ndarray:
    """f32, as `randomNormal`."""
    pairs = words(4 * -(-count // 4), seed, stream, 0).reshape(-1, 2)
    radius = np.sqrt(-2 * np.log(((pairs[:, 0] >> 8).astype(np.float64) + 1) * 2**-24))
    angle = ((pairs[:, 1] >> 8) * 2.0**-24 - 0.5) * 2 * np.pi
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[:count].astype(np.float32)


def gumbel(count: int, seed: int, stream: int) -> np.ndarray:
    """f64, which `randomGumbel` rounds."""
    return -np.log(-np.log1p(-(words(count, seed, stream, 0).astype(np.float64) + 0.5) * 2.0**-32))


class RandomStream:
    """The core's `RandomStream`."""

    def __init__(self, seed: int, stream: int, expected: int = 4096) -> None:
        self.seed, self.stream, self.size = seed, stream, expected
        self.words = words(expected, seed, stream, HOST_DOMAIN).tolist()
        self.at = 0

    def word(self) -> int:
        if self.at == len(self.words):
            self.size *= 2
            self.words = words(self.size, self.seed, self.stream, HOST_DOMAIN).tolist()
        self.at += 1
        return self.words[self.at - 1]

    def next(self) -> float:
        high = self.word() >> 5
        return (high * 2**26 + (self.word() >> 6)) * 2.0**-53

    def integer(self, below: int) -> int:
        usable = 2**32 - 2**32 % below
        word = self.word()
        while word >= usable:
            word = self.word()
        return word % below
