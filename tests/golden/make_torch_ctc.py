"""Compute CTC losses and their gradients with PyTorch and store them: torch_ctc.npz.

Run it in an environment that has what `make_goldens.py` needs: `KERAS_BACKEND=torch python make_torch_ctc.py`.
"""

from __future__ import annotations

import numpy as np
import torch
from make_goldens import Goldens


def main() -> None:
    """Store one batch with labels of all lengths, repetitions among them, and logits of all lengths."""
    rng = np.random.default_rng(100)
    logits = rng.normal(scale=2, size=(5, 9, 4))
    target = np.array([[1, 2, 2, 3], [3, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0], [2, 1, 3, 1]])
    lengths = np.array([9, 4, 6, 5, 4])
    x = torch.tensor(logits, requires_grad=True)
    values = torch.nn.functional.ctc_loss(
        x.log_softmax(-1).transpose(0, 1),
        torch.tensor(target),
        torch.tensor(lengths),
        torch.tensor((target != 0).sum(axis=1)),
        reduction="none",
    )
    values.sum().backward()
    goldens = Goldens()
    arrays = {"target": target.astype(np.int32), "output": logits, "lengths": lengths}
    goldens.add("ctc", "ctc", {}, {**arrays, "value": values.detach().numpy(), "gradient": x.grad.numpy()})
    goldens.save("torch_ctc.npz")


if __name__ == "__main__":
    main()
