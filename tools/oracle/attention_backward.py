"""Golden gradients of PyTorch's attention, for the core's backward pass, in f32 computed in f64.

Names are `<case>.<role>`: q, k, v, dout and the results out, lse, dq, dk, dv. README.md of the golden data lists the cases.
"""

import torch
import torch.nn.functional as F

from golden_files import CORE_GOLDEN, provenance, write_tensors

Tensors = dict[str, torch.Tensor]

# Name: B, H, Hkv, N, M, D, causal (the last query sees all keys), window (keys a query sees, 0: all), soft-cap (0: none).
CASES = {
    "causal": (1, 4, 2, 37, 37, 24, True, 0, 0.0),
    "fewer_queries": (1, 3, 1, 5, 41, 37, True, 0, 0.0),
    "fewer_keys": (2, 2, 2, 19, 7, 16, True, 0, 0.0),
    "one": (1, 2, 1, 1, 1, 1, False, 0, 0.0),
    "two": (2, 4, 2, 2, 2, 7, True, 0, 0.0),
    "wide": (1, 2, 1, 5, 11, 256, False, 0, 0.0),
    "window": (1, 2, 1, 40, 40, 20, True, 9, 0.0),
    "soft_cap": (1, 2, 1, 9, 17, 20, False, 0, 2.5),
}


def gradients(b: int, h: int, hkv: int, n: int, m: int, d: int, causal: bool, window: int, cap: float) -> Tensors:
    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape).double()

    q, k, v = (random(b, h, n, d) * 2).requires_grad_(), random(b, hkv, m, d).requires_grad_(), random(b, hkv, m, d).requires_grad_()
    dout = random(b, h, n, d)
    own, key = torch.arange(n)[:, None] + m - n, torch.arange(m)[None, :]
    seen = torch.ones(n, m, dtype=torch.bool)
    if causal:
        seen &= key <= own
    if window:
        seen &= key > own - window
    scores = q @ k.repeat_interleave(h // hkv, dim=1).transpose(-1, -2) / d**0.5
    if cap:
        scores = cap * torch.tanh(scores / cap)
    lse = torch.logsumexp(scores.masked_fill(~seen, float("-inf")), dim=-1)
    # Rows that see no key have no softmax; their output is zero, and no gradient goes through it.
    rows = seen.any(dim=-1)
    values = v.repeat_interleave(h // hkv, dim=1)
    if cap:
        filled = torch.softmax(scores[:, :, rows].masked_fill(~seen[rows], float("-inf")), dim=-1) @ values
    else:
        filled = F.scaled_dot_product_attention(q[:, :, rows], k, v, attn_mask=seen[rows], enable_gqa=True)
    out = torch.zeros_like(q).index_copy(2, rows.nonzero().flatten(), filled)
    dq, dk, dv = torch.autograd.grad(out, (q, k, v), dout)
    named = {"q": q, "k": k, "v": v, "dout": dout, "out": out, "lse": lse, "dq": dq, "dk": dk, "dv": dv}
    return {name: tensor.detach().float() for name, tensor in named.items()}


def main() -> None:
    torch.manual_seed(11)
    tensors = {f"{case}.{role}": t for case, sizes in CASES.items() for role, t in gradients(*sizes).items()}
    path = CORE_GOLDEN / "attention-backward.safetensors"
    write_tensors(path, tensors, provenance("attention_backward.py", torch))


if __name__ == "__main__":
    main()
