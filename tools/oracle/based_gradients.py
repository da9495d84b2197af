"""Golden logits and gradients of a small Based model in PyTorch: every kind of layer, two heads."""

import torch
import torch.nn.functional as F

from based_model import BasedModel
from golden_files import ROOT, provenance, write_tensors

SEED, VOCABULARY, SIZE, FEATURE_DIM, WINDOW = 11, 13, 16, 4, 6
LAYERS = ["conv", "linear", "window", "attention"]


def main() -> None:
    torch.manual_seed(0)
    model = BasedModel(SEED, LAYERS, VOCABULARY, SIZE, FEATURE_DIM, WINDOW, heads=2)
    ids, targets = torch.randint(0, VOCABULARY, (2, 2, 21))
    logits = model(ids)
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    tensors = {
        "ids": ids.int(),
        "targets": targets.int(),
        "logits": logits.detach(),
        "loss": loss.detach().reshape(1),
        **{f"grad.{name}": parameter.grad for name, parameter in model.named_parameters()},
    }
    path = ROOT / "packages" / "based" / "test" / "golden" / "based-model.safetensors"
    write_tensors(path, tensors, provenance("based_gradients.py", torch))


if __name__ == "__main__":
    main()
