"""Decoding: every kind of odd image becomes plain pixels or one clear error."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from vit_kernels.data import decode
from vit_kernels.data.decode import open_image
from vit_kernels.errors import ImageError


def photo(size=(40, 30)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def saved(tmp_path, image, name, **kwargs):
    path = tmp_path / name
    image.save(path, **kwargs)
    return path


def test_rgb_png_is_exact(tmp_path):
    path = saved(tmp_path, photo(), "a.png")
    np.testing.assert_array_equal(np.asarray(open_image(path)), np.asarray(photo()))


@pytest.mark.parametrize("mode, name", [("CMYK", "a.jpg"), ("L", "a.png"), ("1", "a.png"), ("P", "a.png"), ("YCbCr", "a.jpg"),
                                        ("LA", "a.png"), ("RGBA", "a.png"), ("I;16", "a.tif"), ("I", "a.tif"), ("F", "a.tif")])
def test_every_mode_becomes_rgb_or_grey(tmp_path, mode, name):
    if mode.startswith("I"):
        image = Image.fromarray(np.arange(1200, dtype=np.uint16 if mode == "I;16" else np.int32).reshape(30, 40) * 50)
    elif mode == "F":
        image = Image.fromarray(np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40))
    else:
        image = photo().convert("L").convert(mode) if mode in ("LA", "1") else photo().convert(mode)
    path = saved(tmp_path, image, name)
    assert open_image(path).mode == "RGB" and open_image(path).size == (40, 30)
    assert open_image(path, 1).mode == "L"


def test_sixteen_bit_keeps_its_range(tmp_path):
    """Pillow's own conversion would clip everything above 255 to white."""
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    got = np.asarray(open_image(saved(tmp_path, Image.fromarray(values), "a.png"), 1)).astype(int)
    assert np.abs(got - values // 256).max() <= 1


def test_transparency_lies_over_white(tmp_path):
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert np.asarray(open_image(saved(tmp_path, image, "a.png"))).min() == 255
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert abs(int(np.asarray(open_image(saved(tmp_path, half, "b.png")))[0, 0, 0]) - 127) <= 1


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "green", "blue")]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert np.asarray(open_image(path))[0, 0].tolist() == [255, 0, 0] or np.asarray(open_image(path))[0, 0, 0] > 250


def test_exif_orientation_is_applied(tmp_path):
    image = photo()
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path, image, "a.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(open_image(path)), np.rot90(np.asarray(image), -1))


@pytest.mark.parametrize("size", [(1, 1), (20000, 3), (3, 20000)])
def test_extreme_sizes(tmp_path, size):
    assert open_image(saved(tmp_path, photo(size), "a.png")).size == size


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp"])
def test_truncated(tmp_path, suffix):
    data = io.BytesIO()
    photo((200, 200)).save(data, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()))
    data = data.getvalue()
    for cut in (1, 30, len(data) // 2):
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(data[:cut])
        with pytest.raises(ImageError, match=f"a.{suffix}"):
            open_image(path)


def test_flipped_bits_never_crash(tmp_path):
    data = io.BytesIO()
    photo((64, 64)).save(data, "PNG")
    data = bytearray(data.getvalue())
    rng = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            damaged[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "a.png").write_bytes(damaged)
        try:
            open_image(tmp_path / "a.png")
        except ImageError:
            pass


def test_too_many_pixels_is_refused_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "MAX_PIXELS", 1000)
    with pytest.raises(ImageError, match="40 x 30 pixels, the limit is 1,000"):
        open_image(saved(tmp_path, photo(), "a.png"))


def test_a_png_that_claims_to_be_huge(tmp_path):
    """A decompression bomb: 60,000 x 60,000 in a few bytes."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)) + \
        chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(bomb)
    with pytest.raises(ImageError, match="the limit is"):
        open_image(tmp_path / "a.png")


def test_not_images(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(ImageError, match="is not an image that Pillow can read"):
        open_image(tmp_path / "a.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError):
        open_image(tmp_path / "empty.png")
    with pytest.raises(ImageError, match="is a folder"):
        open_image(tmp_path)
    with pytest.raises(ImageError, match="does not exist"):
        open_image(tmp_path / "missing.png")
