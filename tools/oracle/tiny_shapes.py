"""Pictures that a seed draws: two figures on a background of two colours, for the tiny diffusion transformer.

The class says shape, colours and surface of the figures; position, size, turn, hue and background vary. Each picture has a twin of
its figure on the other side of the centre, smaller and turned by half a circle, in the same hue: what stands at one place
decides what stands at another. All choices come from the core's random numbers, so that other code can draw the same.
"""

import numpy as np

from philox import RandomStream

SIZE = 32
SHAPES = ("disc", "square", "triangle", "ring")
COLOURS = ("warm", "cool")
SURFACES = ("plain", "striped")
# The class of index shape * 4 + colours * 2 + surface.
CLASSES = tuple(f"{surface} {colour} {shape}" for shape in SHAPES for colour in COLOURS for surface in SURFACES)
# Numbers in [0, 1) that one picture takes.
CHOICES = 12


def choices(seed: int, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes [count] and choices f64 [count, CHOICES] of the pictures from number `first` on."""
    classes, rows = [], []
    for index in range(first, first + count):
        stream = RandomStream(seed, index, 2 * CHOICES + 4)
        classes.append(stream.integer(len(CLASSES)))
        rows.append([stream.next() for _ in range(CHOICES)])
    return np.array(classes), np.array(rows)


def colour(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """RGB [B, 3, 1, 1] in [0, 1] of hues in turns."""
    sectors = (np.array([5.0, 3.0, 1.0]) + 6 * hue[:, None]) % 6
    wave = np.clip(np.minimum(sectors, 4 - sectors), 0, 1)
    return (value[:, None] * (1 - saturation[:, None] * wave))[:, :, None, None]


def distance(shape: np.ndarray, x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Pixels from the edge of a figure of that radius, negative inside."""
    radius = radius[:, None, None]
    round_ = np.hypot(x, y)
    disc = round_ - radius
    square = np.maximum(abs(x), abs(y)) - 0.85 * radius
    triangle = np.maximum(y, 0.8660254037844386 * abs(x) - 0.5 * y) - 0.6 * radius
    ring = abs(round_ - 0.75 * radius) - 0.25 * radius
    return np.choose(shape[:, None, None], [disc, square, triangle, ring])


def draw(classes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """f32 [B, 3, SIZE, SIZE] in [-1, 1]."""
    shape, warm, striped = classes // 4, classes // 2 % 2 == 0, classes % 2
    u = rows.T
    ys, xs = np.meshgrid(np.arange(SIZE) - (SIZE - 1) / 2, np.arange(SIZE) - (SIZE - 1) / 2, indexing="ij")

    # Background: from one muted colour to another along a direction.
    towards = 2 * np.pi * u[0][:, None, None]
    share = 0.5 + (xs * np.cos(towards) + ys * np.sin(towards)) / (1.5 * SIZE)
    base = u[1]
    first = colour(base, np.full_like(base, 0.3), 0.35 + 0.3 * u[2])
    second = colour((base + 0.15) % 1, np.full_like(base, 0.3), 0.65 + 0.3 * u[3])
    picture = first + (second - first) * share[:, None]

    # Figures: the centre is 6 to 9.5 pixels from the picture's, in any direction.
    angle, away = 2 * np.pi * u[4], 6 + 3.5 * u[5]
    hue = np.where(warm, -0.04 + 0.2 * u[6], 0.42 + 0.25 * u[6]) % 1
    bright = colour(hue, np.full_like(hue, 0.85), 0.8 + 0.2 * u[7])
    turn = 2 * np.pi * u[8]
    radius = 5 + 2.5 * u[9]
    for side, size in ((1.0, 1.0), (-1.0, 0.6)):
        dx = xs - (side * away * np.cos(angle))[:, None, None]
        dy = ys - (side * away * np.sin(angle))[:, None, None]
        cos, sin = side * np.cos(turn)[:, None, None], side * np.sin(turn)[:, None, None]
        x, y = cos * dx + sin * dy, cos * dy - sin * dx
        inside = np.clip(0.5 - distance(shape, x, y, size * radius), 0, 1)
        # Stripes: 4 to 5 pixels a period, dark to a quarter of the brightness.
        period = (4 + u[10])[:, None, None]
        dark = np.clip(0.5 + 1.2 * np.sin(2 * np.pi * (x / period + u[11][:, None, None])), 0, 1)
        light = 1 - 0.75 * striped[:, None, None] * dark
        picture = picture + inside[:, None] * (bright * light[:, None] - picture)
    return (2 * np.clip(picture, 0, 1) - 1).astype(np.float32)


def halved(pictures: np.ndarray) -> np.ndarray:
    """Pictures of half the width and height: means of two by two pixels."""
    count, channels, height, width = pictures.shape
    return pictures.reshape(count, channels, height // 2, 2, width // 2, 2).mean(axis=(3, 5))


def grid(pictures: np.ndarray, columns: int) -> np.ndarray:
    """u8 [rows * (H + 2), columns * (W + 2), 3]: pictures in [-1, 1] side by side."""
    count, _, height, width = pictures.shape
    sheet = np.full((-(-count // columns) * (height + 2), columns * (width + 2), 3), 255, dtype=np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // columns * (height + 2) + 1, index % columns * (width + 2) + 1
        shown = np.rint((np.clip(picture, -1, 1) + 1) * 127.5).astype(np.uint8)
        sheet[top : top + height, left : left + width] = shown.transpose(1, 2, 0)
    return sheet
