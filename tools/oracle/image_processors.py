"""transformers' image processors (torchvision) and Pillow on pictures of awkward sizes: packages/models/test/golden/images.

    python image_processors.py

pixels.safetensors holds the pictures, what each processor makes of them, and resized pictures of both libraries; the picture files
(grey, alpha, 16 bits, CMYK, palette, animated, turned by EXIF, truncated) have their pixels beside them as transformers reads them.
"""

import io

import numpy as np
import PIL
import torch
import torchvision
import transformers
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional as tvF
from transformers import CLIPImageProcessor, Idefics3ImageProcessor, LlavaImageProcessor, Qwen2VLImageProcessor
from transformers.image_transforms import convert_to_rgb

from golden_files import MODELS_GOLDEN, provenance, write_json, write_tensors
from random_vision_models import picture

FOLDER = MODELS_GOLDEN / "images"
MADE_BY = provenance("image_processors.py", torch, torchvision, transformers, PIL)

PROCESSORS = {
    "clip": CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}),
    "clip-wide-crop": CLIPImageProcessor(size={"shortest_edge": 20}, crop_size={"height": 28, "width": 28}),
    "llava-pad": LlavaImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, do_pad=True),
    "idefics3": Idefics3ImageProcessor(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}, do_image_splitting=True
    ),
    "idefics3-whole": Idefics3ImageProcessor(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}, do_image_splitting=False
    ),
    "qwen2-vl": Qwen2VLImageProcessor(patch_size=4, merge_size=2, size={"shortest_edge": 256, "longest_edge": 1024}),
}
# Height and width: down, up, thin, one pixel.
SIZES = [(61, 97), (13, 9), (120, 31), (1, 1)]
MODES = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}
TORCH = {
    "bilinear": tvF.InterpolationMode.BILINEAR,
    "bicubic": tvF.InterpolationMode.BICUBIC,
    "lanczos": tvF.InterpolationMode.LANCZOS,
}


def processed(tensors: dict[str, torch.Tensor]) -> None:
    for index, size in enumerate(SIZES):
        image = picture(10 + index, *size)
        tensors[f"picture.{index}"] = torch.tensor(image).to(torch.uint8)
        for name, processor in PROCESSORS.items():
            pixels = processor(images=[Image.fromarray(image)], return_tensors="pt")["pixel_values"]
            tensors[f"{name}.{index}"] = pixels[0] if name.startswith("idefics3") else pixels


def resized(tensors: dict[str, torch.Tensor]) -> None:
    image = picture(20, 47, 43)
    tensors["resized"] = torch.tensor(image).to(torch.uint8)
    for mode, filter_ in MODES.items():
        for height, width in [(20, 31), (60, 50), (47, 10), (5, 120)]:
            pillow = np.array(Image.fromarray(image).resize((width, height), filter_))
            torch_ = tvF.resize(torch.tensor(image).permute(2, 0, 1), [height, width], TORCH[mode], antialias=True)
            tensors[f"pillow.{mode}.{height}.{width}"] = torch.tensor(pillow).to(torch.uint8)
            tensors[f"torch.{mode}.{height}.{width}"] = torch_.permute(1, 2, 0).contiguous().to(torch.uint8)


def save(image: Image.Image, name: str, **options: object) -> None:
    image.save(FOLDER / name, **options)


def files() -> list[str]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    colour = picture(30, 18, 25)
    rgb = Image.fromarray(colour)
    alpha = np.dstack([colour, np.linspace(0, 255, 18 * 25).reshape(18, 25).astype(np.uint8)])
    save(rgb, "rgb.png")
    save(rgb.convert("L"), "grey.png")
    save(Image.fromarray(alpha), "alpha.png")
    save(Image.fromarray(alpha).convert("LA"), "grey-alpha.png")
    save(rgb.quantize(16), "palette.png")
    save(rgb.convert("1"), "bits.png")
    # Smooth, so that decoders of JPEG agree within rounding.
    smooth = Image.fromarray(np.mgrid[0:24, 0:32].sum(axis=0).astype(np.uint8) * 4).convert("RGB")
    save(smooth, "smooth.jpg", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6
    save(smooth, "turned.jpg", quality=95, exif=exif)
    save(rgb, "animated.gif", save_all=True, append_images=[Image.new("RGB", rgb.size, "red")], duration=50)
    save(rgb, "lossless.webp", lossless=True)
    save(Image.new("CMYK", (9, 7), (40, 90, 10, 30)), "cmyk.jpg", quality=95)
    save(Image.new("RGB", (1, 1), (10, 200, 30)), "pixel.png")
    wide = (np.arange(18 * 25, dtype=np.uint32) * 145 % 65536).reshape(18, 25).astype(np.uint16)
    save(Image.fromarray(wide), "grey-16.png")
    whole = io.BytesIO()
    rgb.save(whole, "png")
    (FOLDER / "truncated.png").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    whole = io.BytesIO()
    smooth.save(whole, "jpeg", quality=95)
    (FOLDER / "truncated.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    return sorted(path.name for path in FOLDER.iterdir() if path.suffix in {".png", ".jpg", ".gif", ".webp"})


def read(tensors: dict[str, torch.Tensor], names: list[str]) -> None:
    for name in names:
        if name.startswith("truncated"):
            continue
        image = ImageOps.exif_transpose(Image.open(FOLDER / name))
        if image.mode.startswith("I;16") or image.mode == "I":
            # Pillow clips what is over 255 here; the upper byte is the picture.
            pixels = np.repeat((np.array(image).astype(np.uint32) >> 8).astype(np.uint8)[..., None], 3, axis=-1)
        else:
            pixels = convert_to_rgb(image, return_numpy=True)
        tensors[f"file.{name}"] = torch.tensor(np.ascontiguousarray(pixels)).to(torch.uint8)


def main() -> None:
    tensors: dict[str, torch.Tensor] = {}
    processed(tensors)
    resized(tensors)
    read(tensors, files())
    write_tensors(FOLDER / "pixels.safetensors", tensors, MADE_BY)
    # Learned positions of Idefics3 along an edge: counts of patches on a table of a side.
    rows = []
    for side in (4, 14, 26, 27, 32):
        for count in range(1, 65):
            boundaries = torch.arange(1 / side, 1.0, 1 / side)
            places = torch.clamp(torch.arange(count, dtype=torch.float32) * (1.0 / torch.tensor(count)), max=1.0 - 1e-6)
            rows.append([side, count, torch.bucketize(places, boundaries, right=True).tolist()])
    write_json(FOLDER / "positions.json", {"made_by": MADE_BY, "rows": rows})


if __name__ == "__main__":
    main()
