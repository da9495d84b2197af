"""PyTorch's gated attention for the method's package, in f32: outputs, gradients, and the first losses of a training run.

Layers: `<granularity>.x`, `.w` [B, N, E], `.out`, the layer's parameters by name, and of sum(out w) `.grad.x` and `.grad.<parameter>`.
Training: the model's parameters by name, `batches` [steps, rows, context + 1], `losses` [steps].
"""

import torch

from gated_attention_model import Attention, Backcopy, GatedLm, Sizes, rope_tables
from golden_files import ROOT, provenance, write_tensors
from train_gated_attention import optimizer_of

FOLDER = ROOT / "packages" / "gated-attention" / "test" / "golden"
LAYER = Sizes(hidden=24, heads=4, kv_heads=2, head=8)
MODEL = Sizes(hidden=32, layers=2, heads=6, kv_heads=2, head=8, mlp=64, vocabulary=64, context=48)
STEPS, ROWS, RATE, WARM_UP = 40, 8, 1e-2, 5


def layer(granularity: str) -> dict[str, torch.Tensor]:
    attention = Attention(LAYER, granularity)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.copy_(0.4 * torch.randn_like(parameter) + (parameter.dim() == 1))
    x = torch.randn(2, 9, LAYER.hidden, requires_grad=True)
    w = torch.randn(2, 9, LAYER.hidden)
    out = attention(x, rope_tables(LAYER, 9))
    (out * w).sum().backward()
    return {
        f"{granularity}.x": x.detach(),
        f"{granularity}.w": w,
        f"{granularity}.out": out.detach(),
        f"{granularity}.grad.x": x.grad,
        **{f"{granularity}.{name}": parameter.detach() for name, parameter in attention.named_parameters()},
        **{f"{granularity}.grad.{name}": parameter.grad for name, parameter in attention.named_parameters()},
    }


def training() -> dict[str, torch.Tensor]:
    model = GatedLm(MODEL, "elementwise")
    initial = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = optimizer_of(model, 0.1)
    task, generator = Backcopy(), torch.Generator().manual_seed(7)
    batches = torch.stack([task.batch(generator, ROWS)[:, : MODEL.context + 1] for _ in range(STEPS)])
    losses = []
    for step, rows in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARM_UP)
        loss = model.loss(rows)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.detach())
    return {**initial, "batches": batches.int(), "losses": torch.stack(losses)}


def main() -> None:
    torch.manual_seed(11)
    torch.set_num_threads(1)
    made_by = provenance("gated_attention.py", torch)
    write_tensors(FOLDER / "layers.safetensors", {**layer("elementwise"), **layer("headwise")}, made_by)
    write_tensors(FOLDER / "training.safetensors", training(), made_by)


if __name__ == "__main__":
    main()
