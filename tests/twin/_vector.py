"""Vector instructions by their definition: lane after lane over an image of UB, in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Optional

import numpy as np

from tests.twin._native_module import launch, rules

BLOCK, REPEAT = 32, 256  # bytes
COUNT, LANES, BITS = range(3)


@dataclass
class Call:
    """One instruction: where its operands start (bytes), how they walk (32-byte blocks), which lanes take part."""

    at: tuple = (0, 0, 0, 0)
    form: int = COUNT
    count: int = 0
    repeats: int = 1
    mask: int = 0
    blk: tuple = (1, 1, 1)
    rep: tuple = (8, 8, 8)
    scalar: int = 0  # bits
    extra: int = 0
    lanes: int = 64

    def active(self) -> Iterator[tuple[int, int]]:
        """(repeat, lane) of every lane that takes part."""
        if self.form == COUNT:
            yield from ((i // self.lanes, i % self.lanes) for i in range(self.count))
            return
        for r in range(self.repeats):
            for lane in range(self.lanes):
                if lane < self.count if self.form == LANES else self.mask >> lane & 1:
                    yield r, lane

    def offset(self, operand: int, itemsize: int, r: int, lane: int) -> int:
        """The byte at which a lane of an operand starts."""
        per_block = BLOCK // itemsize
        block, rest = divmod(lane, per_block)
        return self.at[operand] + r * self.rep[operand] * BLOCK + block * self.blk[operand] * BLOCK + rest * itemsize

    def params(self, image: np.ndarray, api: int) -> list[int]:
        """As ub_image.h reads them."""
        words = [self.mask >> s & 0xFFFFFFFF for s in (0, 32, 64, 96)]
        return [image.nbytes, api, self.form, self.count, self.repeats, *words, *self.at[:3], *self.blk, *self.rep,
                self.scalar, self.extra, self.at[3]]


def run(kernel: str, image: np.ndarray, api: int, call: Call) -> np.ndarray:
    """The image after the instruction, on the twin in strict mode; no diagnostics allowed."""
    result = launch(kernel, [image], call.params(image, api), [image.nbytes], strict=True)
    assert not rules(result), result["diagnostics"]
    return np.asarray(result["outputs"][0], np.uint8)


def get(image: np.ndarray, at: int, dtype: np.dtype) -> np.generic:
    """One element of the image."""
    return np.frombuffer(image.tobytes()[at:at + dtype.itemsize], dtype)[0]


def put(image: np.ndarray, at: int, value: np.generic) -> None:
    """Writes one element into the image."""
    image[at:at + value.dtype.itemsize] = np.frombuffer(value.tobytes(), np.uint8)


def lane_by_lane(image: np.ndarray, call: Call, dtypes: list, f: Callable) -> np.ndarray:
    """dst[lane] = f(dst, a, b) for the active lanes; `dtypes` of dst and the sources that exist."""
    dtypes = [np.dtype(t) for t in dtypes]
    out, raw = image.copy(), image.tobytes()
    for r, lane in call.active():
        operands = []
        for i, dtype in enumerate(dtypes):
            start = call.offset(i, dtype.itemsize, r, lane)
            operands.append(np.frombuffer(raw, dtype, 1, start)[0])
        put(out, call.offset(0, dtypes[0].itemsize, r, lane), dtypes[0].type(f(*operands)))
    return out


def random_call(rng: np.random.Generator, itemsizes: list[int], form: int, room: int,
                lanes: Optional[int] = None) -> Call:
    """A legal call: operands in areas of `room` bytes each, random strides, mask and repeats."""
    lanes = lanes or REPEAT // max(itemsizes)
    at = tuple(i * room for i in range(len(itemsizes))) + (0,) * (4 - len(itemsizes))
    call = Call(at=at, form=form)
    call.lanes = lanes
    if form == COUNT:
        call.count = int(rng.integers(1, room // max(itemsizes) + 1))
        call.rep = tuple(lanes * s // BLOCK for s in itemsizes) + (8,) * (3 - len(itemsizes))
        return call
    call.count = int(rng.integers(1, lanes + 1))
    call.mask = int.from_bytes(rng.bytes(lanes // 8), "little") or 1
    call.repeats = int(rng.integers(1, 4))
    blk, rep = [], []
    for i, size in enumerate(itemsizes):
        blocks = lanes * size // BLOCK
        if i and rng.random() < 0.25:  # a source read again by every block or repeat
            blk.append(int(rng.integers(0, 2)))
            rep.append(0)
            continue
        blk.append(int(rng.integers(1, 3)))
        span = blocks * blk[-1]
        most = (room // BLOCK - span) // max(call.repeats - 1, 1)
        rep.append(int(rng.integers(span, max(span, most) + 1)) if call.repeats > 1 else 8)
        if call.repeats > 1 and rep[-1] * (call.repeats - 1) + span > room // BLOCK:
            raise AssertionError("operand areas too small")
    fill = 3 - len(blk)
    call.blk, call.rep = tuple(blk) + (1,) * fill, tuple(rep) + (8,) * fill
    return call
