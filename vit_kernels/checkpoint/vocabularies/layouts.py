"""How one tensor of timm's vocabulary is laid out elsewhere: as it is, transposed, split, folded.

A layout turns the other side's tensors into ours (`join`) and back (`split`). Both only move values, so a round trip
gives the same bits, and both are lazy: nothing is read until somebody asks for the result.
"""

from __future__ import annotations

import dataclasses
from typing import Callable, Sequence

import numpy as np

from vit_kernels.checkpoint.errors import CheckpointError
from vit_kernels.checkpoint.tensor import LazyTensor


@dataclasses.dataclass(frozen=True)
class Layout:
    """`join(tensors, name)` -> our tensor; `split(tensor, names, heads)` -> their tensors."""

    join: Callable[[Sequence[LazyTensor], str], LazyTensor]
    split: Callable[[LazyTensor, Sequence[str], int], list[LazyTensor]]


def _need_rank(tensor: LazyTensor, *ranks: int) -> None:
    if len(tensor.shape) not in ranks:
        expected = " or ".join(map(str, ranks))
        raise CheckpointError(f"tensor {tensor.name!r} has shape {tensor.shape}, expected {expected} dimensions")


def _join_same(parts: Sequence[LazyTensor], name: str) -> LazyTensor:
    return parts[0].derive(name, parts[0].shape, lambda bits: bits)


def _split_same(tensor: LazyTensor, names: Sequence[str], heads: int) -> list[LazyTensor]:
    return [tensor.derive(names[0], tensor.shape, lambda bits: bits)]


def _transpose(tensor: LazyTensor, name: str) -> LazyTensor:
    _need_rank(tensor, 2)
    return tensor.derive(name, tensor.shape[::-1], lambda bits: bits.T)


def concatenate(parts: Sequence[LazyTensor], name: str) -> LazyTensor:
    """Tensors of one shape and dtype below each other."""
    first = parts[0]
    for part in parts[1:]:
        if part.shape != first.shape or part.dtype != first.dtype:
            raise CheckpointError(f"tensors {first.name!r} {first.shape} {first.dtype} and {part.name!r} {part.shape} "
                                  f"{part.dtype} belong together but differ in shape or dtype")
    if not first.shape:
        raise CheckpointError(f"tensor {first.name!r} is a scalar, expected at least one dimension")
    shape = (len(parts) * first.shape[0], *first.shape[1:])
    return LazyTensor(name, shape, first.dtype, lambda: np.concatenate([part.bits() for part in parts]))


def _thirds(tensor: LazyTensor, names: Sequence[str]) -> list[LazyTensor]:
    if not tensor.shape or tensor.shape[0] % 3:
        raise CheckpointError(f"tensor {tensor.name!r} has shape {tensor.shape}; query, key and value need three equal parts")
    rows = tensor.shape[0] // 3
    return [tensor.narrow(k * rows, (k + 1) * rows) for k in range(len(names))]


def _split_rows(tensor: LazyTensor, names: Sequence[str], heads: int) -> list[LazyTensor]:
    return [_split_same(part, [name], heads)[0] for part, name in zip(_thirds(tensor, names), names)]


def _join_google_qkv_weight(parts: Sequence[LazyTensor], name: str) -> LazyTensor:
    rows = []
    for part in parts:
        _need_rank(part, 3)
        width, heads, head_dim = part.shape
        rows.append(part.derive(part.name, (heads * head_dim, width), lambda bits: bits.reshape(len(bits), -1).T))
    return concatenate(rows, name)


def _split_google_qkv_weight(tensor: LazyTensor, names: Sequence[str], heads: int) -> list[LazyTensor]:
    _need_rank(tensor, 2)
    shape = (tensor.shape[1], heads, tensor.shape[0] // 3 // heads)
    return [part.derive(name, shape, lambda bits: bits.T.reshape(shape)) for part, name in zip(_thirds(tensor, names), names)]


def _join_google_qkv_bias(parts: Sequence[LazyTensor], name: str) -> LazyTensor:
    for part in parts:
        _need_rank(part, 2)
    return concatenate([part.derive(part.name, (part.size,), np.ravel) for part in parts], name)


def _split_google_qkv_bias(tensor: LazyTensor, names: Sequence[str], heads: int) -> list[LazyTensor]:
    shape = (heads, tensor.shape[0] // 3 // heads)
    return [part.derive(name, shape, lambda bits: bits.reshape(shape)) for part, name in zip(_thirds(tensor, names), names)]


def _join_google_out(parts: Sequence[LazyTensor], name: str) -> LazyTensor:
    _need_rank(parts[0], 3)
    heads, head_dim, width = parts[0].shape
    return parts[0].derive(name, (width, heads * head_dim), lambda bits: bits.reshape(-1, width).T)


def _split_google_out(tensor: LazyTensor, names: Sequence[str], heads: int) -> list[LazyTensor]:
    _need_rank(tensor, 2)
    shape = (heads, tensor.shape[1] // heads, tensor.shape[0])
    return [tensor.derive(names[0], shape, lambda bits: bits.T.reshape(shape))]


def _join_hwio(parts: Sequence[LazyTensor], name: str) -> LazyTensor:
    _need_rank(parts[0], 4)
    h, w, i, o = parts[0].shape
    return parts[0].derive(name, (o, i, h, w), lambda bits: bits.transpose(3, 2, 0, 1))


def _split_hwio(tensor: LazyTensor, names: Sequence[str], heads: int) -> list[LazyTensor]:
    _need_rank(tensor, 4)
    o, i, h, w = tensor.shape
    return [tensor.derive(names[0], (h, w, i, o), lambda bits: bits.transpose(2, 3, 1, 0))]


def _join_flat(parts: Sequence[LazyTensor], name: str) -> LazyTensor:
    # Some of Google's files keep biases as (1, 1, 1, N).
    return parts[0].derive(name, (parts[0].size,), np.ravel)


SAME = Layout(_join_same, _split_same)
TRANSPOSED = Layout(lambda parts, name: _transpose(parts[0], name),
                    lambda tensor, names, heads: [_transpose(tensor, names[0])])
# Query, key and value apart, each (out, in) like ours.
SPLIT = Layout(concatenate, _split_rows)
# Google: (in, heads, head_dim) per projection, (heads, head_dim, out) behind the attention, kernels (in, out).
GOOGLE_QKV_WEIGHT = Layout(_join_google_qkv_weight, _split_google_qkv_weight)
GOOGLE_QKV_BIAS = Layout(_join_google_qkv_bias, _split_google_qkv_bias)
GOOGLE_OUT = Layout(_join_google_out, _split_google_out)
GOOGLE_CONV = Layout(_join_hwio, _split_hwio)
FLAT = Layout(_join_flat, _split_same)
