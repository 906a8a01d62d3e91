"""Learning rates, one per step, as plain arrays: what a run will do can be printed and plotted before it starts."""

from __future__ import annotations

import numpy as np


def cosine_with_warmup(peak: float, total_steps: int, warmup_steps: int = 0, final: float = 0.0,
                       initial: float = 0.0) -> np.ndarray:
    """Linear warm-up, then half a cosine (arXiv:1608.03983), as MAE's and MindFormers' fine-tuning use it.

    Step t < W has initial + (peak - initial) * t / W; step t >= W has
    final + (peak - final) * (1 + cos(pi * (t - W) / (T - W))) / 2.

    Args:
        peak: the highest rate.
        total_steps: T.
        warmup_steps: W.
        final: the rate that the cosine approaches.
        initial: the rate at step 0 if there is a warm-up.

    Returns:
        (total_steps,) float64.

    Raises:
        ValueError: total_steps < 1, or warmup_steps not between 0 and total_steps.
    """
    if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
        raise ValueError(f"total_steps={total_steps}, warmup_steps={warmup_steps}: expected total_steps >= 1 and a warm-up "
                         "that is not longer")
    step = np.arange(total_steps, dtype=np.float64)
    warm = initial + (peak - initial) * step / max(warmup_steps, 1)
    progress = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    return np.where(step < warmup_steps, warm, final + (peak - final) * 0.5 * (1 + np.cos(np.pi * progress)))
