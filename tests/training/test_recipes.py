"""The default recipes fit their data and build."""

from __future__ import annotations

import numpy as np
import pytest

from vit_kernels import ViTConfig
from vit_kernels.data import load_dataset
from vit_kernels.training.recipes import RECIPES, recipe_for


def test_digits_are_normalised_by_their_own_statistics():
    pixels = load_dataset("digits").train.pixels / 255
    recipe = recipe_for("digits")
    assert recipe.preprocessing.mean[0] == pytest.approx(pixels.mean(), abs=1e-3)
    assert recipe.preprocessing.std[0] == pytest.approx(pixels.std(), abs=1e-3)


@pytest.mark.parametrize("name", RECIPES)
def test_model_input_and_augmentation_fit_together(name):
    recipe = RECIPES[name]
    config = ViTConfig(**recipe.model, num_classes=10)
    assert config.image_hw == recipe.preprocessing.image_size and config.in_chans == recipe.preprocessing.channels
    rng = np.random.default_rng(0)
    image = load_dataset("digits").train.image(0, config.in_chans)
    assert recipe.augmentation.transform(recipe.preprocessing)(image, rng).size == config.image_hw[::-1]
    assert recipe.warmup_epochs < recipe.epochs and recipe.min_lr < recipe.lr


def test_folders_share_one_recipe():
    assert recipe_for("some/folder") is RECIPES["folder"]
