"""The augmentation record: each field brings in its own step and nothing else."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tests.data.test_transforms import photo
from vit_kernels.data.augmentation import Augmentation
from vit_kernels.data.preprocessing import Preprocessing

SMALL = Preprocessing((24, 24))


def outputs(augmentation: Augmentation, image: Image.Image, count: int = 40) -> set[bytes]:
    transform = augmentation.transform(SMALL)
    made = [transform(image, np.random.default_rng(seed)) for seed in range(count)]
    assert all(one.size == (24, 24) and one.mode == image.mode for one in made)
    return {one.tobytes() for one in made}


def test_without_any_it_is_the_evaluation_transform():
    image = photo(50, 40)
    assert outputs(Augmentation(), image) == {SMALL.transform()(image, None).tobytes()}
    assert Augmentation().eraser() is None


def test_flip_gives_the_image_and_its_mirror():
    image = photo(50, 40)
    plain = SMALL.transform()(image, None)
    mirror = plain.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert outputs(Augmentation(flip=0.5), image) == {plain.tobytes(), mirror.tobytes()}


def test_crops_shifts_and_rand_augment_vary():
    image = photo(50, 40)
    for augmentation in (Augmentation(crop_scale=(0.1, 1.0)), Augmentation(shift=3), Augmentation(rand_augment="rand-m9-inc1")):
        assert len(outputs(augmentation, image)) > 10


def test_erasing_and_mixing_carry_their_numbers():
    augmentation = Augmentation(erase=0.3, mixup=0.8, cutmix=0.7, mix_probability=0.9, switch_probability=0.4, label_smoothing=0.2)
    mixer = augmentation.mixer(7)
    assert augmentation.eraser().probability == 0.3
    assert (mixer.num_classes, mixer.mixup_alpha, mixer.cutmix_alpha, mixer.probability, mixer.switch_probability,
            mixer.label_smoothing) == (7, 0.8, 0.7, 0.9, 0.4, 0.2)
