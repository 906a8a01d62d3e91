"""Position embeddings and patch projections for other sizes, against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vit_kernels.checkpoint import resize_patch_weight, resize_pos_embed

GRIDS = [((14, 14), (24, 24)), ((14, 14), (7, 7)), ((37, 37), (16, 16)), ((14, 14), (12, 20)), ((3, 5), (5, 3)), ((1, 1), (4, 4)),
         ((14, 14), (14, 14))]


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("old, new", GRIDS)
def test_position_embedding_as_torch(old, new, antialias):
    rng = np.random.default_rng(0)
    pos = rng.standard_normal((1, 2 + old[0] * old[1], 12)).astype(np.float32)
    grid = torch.tensor(pos[:, 2:]).unflatten(1, old).permute(0, 3, 1, 2)
    expected = F.interpolate(grid.double(), size=new, mode="bicubic", align_corners=False, antialias=antialias)
    got = resize_pos_embed(pos, old, new, num_prefix_tokens=2, antialias=antialias)
    assert got.shape == (1, 2 + new[0] * new[1], 12) and got.dtype == np.float32
    np.testing.assert_array_equal(got[:, :2], pos[:, :2])
    np.testing.assert_allclose(got[:, 2:].reshape(1, *new, 12).transpose(0, 3, 1, 2), expected.numpy(), atol=2e-6)


def test_position_embedding_of_another_grid_is_refused():
    with pytest.raises(ValueError, match=r"expected \(1, 10, width\)"):
        resize_pos_embed(np.zeros((1, 9, 4), np.float32), (3, 3), (4, 4))


@pytest.mark.parametrize("old, new", [(8, 16), (16, 32), (14, 16)])
def test_enlarged_patches_give_the_same_tokens(old, new):
    """FlexiViT's promise: resized weights on resized patches are the old weights on the old patches."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((6, 3, old, old)).astype(np.float32)
    patch = torch.tensor(rng.standard_normal((1, 3, old, old)))
    enlarged = F.interpolate(patch, size=(new, new), mode="bicubic", align_corners=False, antialias=True)
    before = np.einsum("ocij,cij->o", weight.astype(np.float64), patch[0].numpy())
    after = np.einsum("ocij,cij->o", resize_patch_weight(weight, new).astype(np.float64), enlarged[0].numpy())
    np.testing.assert_allclose(after, before, atol=1e-4)


def test_shrunk_patches_are_the_least_squares_solution():
    """Against the pseudo-inverse of the whole resize, built column by column with torch."""
    old, new = 16, 8
    weight = np.random.default_rng(0).standard_normal((4, 1, old, old)).astype(np.float32)
    basis = torch.eye(old * old, dtype=torch.float64).reshape(-1, 1, old, old)
    resize = F.interpolate(basis, size=(new, new), mode="bicubic", align_corners=False, antialias=True).flatten(1).numpy().T
    expected = weight.reshape(4, -1).astype(np.float64) @ np.linalg.pinv(resize)
    np.testing.assert_allclose(resize_patch_weight(weight, new).reshape(4, -1), expected, atol=1e-4)
