"""How the kernel tests compare: against float64, with errors measured on the scale of what was added up."""

from __future__ import annotations

import numpy as np
import torch

from . import _lib as cpu


def random(rng: np.random.Generator, *shape: int, spread: float = 1.0) -> np.ndarray:
    """Normal float32 numbers at a misaligned address."""
    return cpu.misaligned(rng.standard_normal(shape) * spread)


def tensor(array: np.ndarray) -> torch.Tensor:
    """The same values in float64, as a leaf that collects a gradient."""
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def assert_close(got: np.ndarray, expected, tolerance: float = 5e-6, floor: float = 0.0) -> None:
    """max |got - expected| <= tolerance * max(|expected|, floor).

    `floor` is for results that are small because larger terms cancel.
    """
    expected = expected.detach().numpy() if isinstance(expected, torch.Tensor) else np.asarray(expected)
    assert got.shape == expected.shape
    assert np.isfinite(got).all(), "output not written, or NaN"
    error = np.abs(got - expected).max(initial=0.0)
    scale = max(np.abs(expected).max(initial=0.0), floor)
    assert error <= tolerance * scale, f"error {error:.3e} on a scale of {scale:.3e}"


def assert_same_bits(first, second) -> None:
    """Equality of every bit, NaN included."""
    for a, b in zip(first, second, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert np.array_equal(a.view(np.uint32), b.view(np.uint32))
