"""Position embeddings and patch projections for another image or patch size, in NumPy.

Both resizings are linear maps, so each is one small matrix per axis. The matrices are those of
torch.nn.functional.interpolate(mode='bicubic', align_corners=False): Keys' cubic convolution with a = -0.75, or with
`antialias` the stretched kernel with a = -0.5 that Pillow uses too.
"""

from __future__ import annotations

import math

import numpy as np


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys' kernel (IEEE ASSP 29(6), 1981), zero beyond 2."""
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def bicubic_matrix(old: int, new: int, antialias: bool = False) -> np.ndarray:
    """The float64 matrix (new, old) that resamples a line of `old` samples to `new`.

    Without antialias, samples beyond the ends repeat the end. With it, the kernel is as wide as the new sampling needs
    and is renormalised where it sticks out.
    """
    scale = old / new
    matrix = np.zeros((new, old))
    for row in range(new):
        centre = (row + 0.5) * scale
        if not antialias:
            first = math.floor(centre - 0.5) - 1
            taps = np.arange(first, first + 4)
            np.add.at(matrix[row], np.clip(taps, 0, old - 1), _cubic(taps - (centre - 0.5), -0.75))
            continue
        stretch = max(scale, 1.0)
        low = max(int(centre - 2 * stretch + 0.5), 0)
        high = min(int(centre + 2 * stretch + 0.5), old)
        weights = _cubic((np.arange(low, high) - centre + 0.5) / stretch, -0.5)
        matrix[row, low:high] = weights / weights.sum()
    return matrix


def resize_pos_embed(pos_embed: np.ndarray, old_grid: tuple[int, int], new_grid: tuple[int, int],
                     num_prefix_tokens: int = 1, antialias: bool = False) -> np.ndarray:
    """Resample the grid part of a position embedding; the prefix tokens stay as they are.

    Args:
        pos_embed: (1, num_prefix_tokens + old rows * old columns, width), floating point.
        old_grid: (rows, columns) it was trained with.
        new_grid: (rows, columns) wanted.
        num_prefix_tokens: entries before the grid.
        antialias: as timm does it; matters only when shrinking.

    Returns:
        (1, num_prefix_tokens + new rows * new columns, width), same dtype.

    Raises:
        ValueError: the shape does not fit the grid.
    """
    expected = num_prefix_tokens + old_grid[0] * old_grid[1]
    if pos_embed.ndim != 3 or pos_embed.shape[:2] != (1, expected):
        raise ValueError(f"pos_embed has shape {pos_embed.shape}, expected (1, {expected}, width) for {num_prefix_tokens} "
                         f"prefix tokens and a grid of {old_grid[0]} x {old_grid[1]}")
    prefix = pos_embed[:, :num_prefix_tokens]
    grid = pos_embed[0, num_prefix_tokens:].astype(np.float64).reshape(*old_grid, -1)
    rows = bicubic_matrix(old_grid[0], new_grid[0], antialias)
    columns = bicubic_matrix(old_grid[1], new_grid[1], antialias)
    resized = np.einsum("ri,ijd,cj->rcd", rows, grid, columns, optimize=True)
    resized = resized.reshape(1, new_grid[0] * new_grid[1], -1).astype(pos_embed.dtype)
    return np.concatenate([prefix, resized], axis=1)


def resize_patch_weight(weight: np.ndarray, new_patch: int) -> np.ndarray:
    """FlexiViT's pseudo-inverse resize of a patch projection (Beyer et al. 2022, arXiv:2212.08013, section 3.4).

    The new weights give, for a patch enlarged by the (antialiased bicubic) resize B, the tokens the old weights gave for
    the patch itself: w' = pinv(B^T) w, exactly when enlarging and in the least-squares sense when shrinking.

    Args:
        weight: (width, channels, old patch, old patch), floating point.
        new_patch: pixels.

    Returns:
        (width, channels, new_patch, new_patch), same dtype.
    """
    line = bicubic_matrix(weight.shape[2], new_patch, antialias=True)
    # B is the Kronecker product of the line's resize with itself, and so is its pseudo-inverse.
    inverse = np.linalg.pinv(line.T)
    return np.einsum("ri,ocij,sj->ocrs", inverse, weight.astype(np.float64), inverse, optimize=True).astype(weight.dtype)
