"""Multi-query associative recall as the core's `associativeRecall` draws it."""

import math

import torch

from philox import RandomStream

IGNORED = -100


def distinct(random: RandomStream, low: int, high: int, count: int) -> list[int]:
    pool = list(range(low, high))
    for at in range(count):
        other = at + random.integer(len(pool) - at)
        pool[at], pool[other] = pool[other], pool[at]
    return pool[:count]


def associative_recall(
    vocabulary: int, length: int, pairs: int, examples: int, seed: int, stream: int, power: float = 0.01
) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets [examples, length]; targets are -100 where there is nothing to say."""
    context, half = 2 * pairs, vocabulary // 2
    random = RandomStream(seed, stream, expected=examples * (2 * length + 2 * pairs))
    weights = [(gap + 1) ** (power - 1) for gap in range((length - context) // 2)]
    inputs = torch.zeros(examples, length, dtype=torch.long)
    targets = torch.full((examples, length), IGNORED)
    for row in range(examples):
        keys = distinct(random, 1, half, pairs)
        values = distinct(random, half, vocabulary, pairs)
        arrivals = sorted((-math.log(1 - random.next()) / weight, gap) for gap, weight in enumerate(weights))
        ids = [id for pair in zip(keys, values) for id in pair]
        ids += [random.integer(vocabulary) for _ in range(length - context)]
        for key, value, (_, gap) in zip(keys, values, arrivals):
            ids[context + 2 * gap] = key
            targets[row, context + 2 * gap] = value
        inputs[row] = torch.tensor(ids)
    return inputs, targets
