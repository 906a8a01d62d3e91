"""Names: which vocabulary a checkpoint speaks, and its tensors under ours and the other way round."""

from __future__ import annotations

import dataclasses
import re
from typing import Iterable, Mapping

from vit_kernels.checkpoint.errors import CheckpointError
from vit_kernels.checkpoint.tensor import LazyTensor
from vit_kernels.checkpoint.vocabularies.layouts import GOOGLE_QKV_WEIGHT
from vit_kernels.checkpoint.vocabularies.tables import HEAD, VOCABULARIES, Vocabulary

_MAX_BLOCKS = 1000
_NUMBER = re.compile(r"(blocks\.|layers?\.|encoderblock_)(\d{1,4})(?=[./])")
_STACKED = re.compile(r"(.*Transformer/encoderblock)/(.*)")

# What optimizers and training loops of MindSpore put beside the weights.
_TRAINING_STATE = re.compile(
    r"(adam_[mv]|moments?|moment[12]|accum|momentum|exp_avg|exp_avg_sq|max_exp_avg_sq|ema|lamb_[mv])\..*"
    r"|(global_step|step|step_num|epoch|epoch_num|learning_rate.*|lr|weight_decay.*|loss_scale|scale_sense|beta[12]_power"
    r"|current_iterator_step|last_overflow_iterator_step|has_trained_epoch|has_trained_steps|random_op|optimizer.*"
    r"|opt/.*step.*|opt/state/.*)")


@dataclasses.dataclass
class Translation:
    """A checkpoint under our names.

    Attributes:
        vocabulary: the names it had.
        tensors: by our names.
        sources: our name -> their names.
        unexpected: their names that no table explains.
        ignored: their name -> why it is not needed.
        num_heads: attention heads where the layout shows them (Google's does), else None.
    """

    vocabulary: str
    tensors: dict[str, LazyTensor]
    sources: dict[str, tuple[str, ...]]
    unexpected: list[str]
    ignored: dict[str, str]
    num_heads: int | None = None


def template_of(name: str) -> tuple[str, int | None]:
    """('blocks.{i}.norm1.weight', 3) of 'blocks.3.norm1.weight'; the number is None outside blocks."""
    match = _NUMBER.search(name)
    if not match or str(int(match[2])) != match[2]:
        return name, None
    return name[:match.start(2)] + "{i}" + name[match.end(2):], int(match[2])


def translate(tensors: Mapping[str, LazyTensor], where: str, vocabulary: str | None = None) -> Translation:
    """Find out the vocabulary and rename everything to ours.

    Args:
        tensors: under their own names.
        where: the file, for messages.
        vocabulary: a key of `VOCABULARIES` to insist on; None to find out.

    Raises:
        CheckpointError: no vocabulary explains the names.
    """
    if vocabulary is not None and vocabulary not in VOCABULARIES:
        raise CheckpointError(f"unknown vocabulary {vocabulary!r}, expected one of {', '.join(VOCABULARIES)}")
    state = {name for name, tensor in tensors.items()
             if _TRAINING_STATE.fullmatch(name) or not tensor.is_float and tensor.size == 1}
    weights = _unstack({name: tensor for name, tensor in tensors.items() if name not in state})
    best: tuple[int, Vocabulary, str, str] | None = None
    for candidate in VOCABULARIES.values() if vocabulary is None else [VOCABULARIES[vocabulary]]:
        for outer, inner in _prefixes(weights, candidate):
            score = len(_match(weights, candidate, outer, inner)[0])
            if best is None or score > best[0]:
                best = (score, candidate, outer, inner)
    if best is None:
        shown = ", ".join(list(tensors)[:4])
        raise CheckpointError(f"{where}: its names belong to no known Vision Transformer (it has {len(tensors)} tensors: "
                              f"{shown[:200]}, ...); known vocabularies: {', '.join(VOCABULARIES)}")
    found, rest = _match(weights, *best[1:])
    result: dict[str, LazyTensor] = {}
    sources: dict[str, tuple[str, ...]] = {}
    num_heads = None
    for ours, theirs in sorted(found.items(), key=lambda item: _position(item[0])):
        layout = best[1].table[template_of(ours)[0]][1]
        result[ours] = layout.join([weights[name] for name in theirs], ours)
        sources[ours] = theirs
        if layout is GOOGLE_QKV_WEIGHT:
            num_heads = weights[theirs[0]].shape[1]
    ignored = {name: "training state" for name in sorted(state)}
    unexpected = []
    for name in rest:
        reason = _reason(name, *best[1:])
        if reason:
            ignored[name] = reason
        else:
            unexpected.append(name)
    return Translation(best[1].name, result, sources, unexpected, ignored, num_heads)


def untranslate(tensors: Mapping[str, LazyTensor], vocabulary: str, num_heads: int) -> dict[str, LazyTensor]:
    """Our names and layout -> another vocabulary's.

    Args:
        tensors: by our names.
        vocabulary: a key of `VOCABULARIES`.
        num_heads: attention heads, which Google's layout shows.

    Raises:
        CheckpointError: a tensor that the vocabulary has no name for.
    """
    target = VOCABULARIES[vocabulary]
    homeless = [name for name in tensors if template_of(name)[0] not in target.table]
    if homeless:
        raise CheckpointError(f"the {vocabulary} vocabulary has no name for {', '.join(homeless[:4])}"
                              f"{' and others' if len(homeless) > 4 else ''}; write timm names instead")
    # Hugging Face's bare backbones have no prefix; a prefix tells the body from the head beside it.
    bare = vocabulary.startswith("hf") and not any(name in HEAD for name in tensors)
    prefix = "" if bare else target.inner[0]
    result: dict[str, LazyTensor] = {}
    for name, tensor in tensors.items():
        template, index = template_of(name)
        theirs, layout = target.table[template]
        own_prefix = prefix if name not in HEAD or vocabulary == "big-vision" else ""
        names = [own_prefix + other.replace("{i}", str(index)) for other in theirs]
        for part, full in zip(layout.split(tensor, names, num_heads), names):
            result[full] = part
    return result


def _position(ours: str) -> tuple:
    """Sorts names as the model has them."""
    template, index = template_of(ours)
    order = list(VOCABULARIES["timm"].table)
    first_block = next(i for i, name in enumerate(order) if "{i}" in name)
    place = order.index(template)
    return (place, 0, 0) if index is None else (first_block, index + 1, place)


def _prefixes(weights: Mapping[str, LazyTensor], vocabulary: Vocabulary) -> Iterable[tuple[str, str]]:
    """(outer, inner) prefixes under which the vocabulary's patch embedding occurs; DataParallel, wrappers and MindFormers'
    classifier all put their own name in front."""
    anchor = vocabulary.table["patch_embed.proj.weight"][0][0]
    for name in weights:
        if name.endswith(anchor):
            prefix = name[:-len(anchor)]
            if prefix and prefix[-1] not in "./":
                continue
            for inner in vocabulary.inner:
                if prefix.endswith(inner):
                    yield prefix[:len(prefix) - len(inner)], inner
                    break


def _match(weights: Mapping[str, LazyTensor], vocabulary: Vocabulary, outer: str,
           inner: str) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """(our name -> their names) of everything the table explains, and the names that are left."""
    present: dict[tuple[str, int | None], str] = {}
    for name in weights:
        for key in _keys(name, vocabulary, outer, inner):
            present.setdefault(key, name)
    indices = sorted({index for _, index in present if index is not None and index < _MAX_BLOCKS})
    found: dict[str, tuple[str, ...]] = {}
    used: set[str] = set()
    for ours, (theirs, _) in vocabulary.table.items():
        for index in indices if "{i}" in ours else [None]:
            names = tuple(present.get((template, index), "") for template in theirs)
            if all(names):
                found[ours.replace("{i}", str(index))] = names
                used.update(names)
    return found, [name for name in weights if name not in used]


def _keys(name: str, vocabulary: Vocabulary, outer: str, inner: str) -> Iterable[tuple[str, int | None]]:
    """The table's template(s) that a name can stand for under these prefixes."""
    heads = {template for ours in HEAD for template in vocabulary.table[ours][0]}
    for prefix in dict.fromkeys((outer + inner, outer)):
        if name.startswith(prefix):
            template, index = template_of(name[len(prefix):])
            template = vocabulary.synonyms.get(template, template)
            if prefix == outer + inner or template in heads:
                yield template, index


def _reason(name: str, vocabulary: Vocabulary, outer: str, inner: str) -> str | None:
    """Why a name that is not in the table can be left out, None if it cannot."""
    for prefix in (outer + inner, outer):
        if name.startswith(prefix):
            for pattern, reason in vocabulary.ignored.items():
                if re.fullmatch(pattern, name[len(prefix):]):
                    return reason
    return None


def _unstack(weights: dict[str, LazyTensor]) -> dict[str, LazyTensor]:
    """big_vision can stack all blocks along a first axis; give each block its own tensors."""
    result: dict[str, LazyTensor] = {}
    for name, tensor in weights.items():
        match = _STACKED.fullmatch(name)
        if not match or not tensor.shape or tensor.shape[0] > _MAX_BLOCKS:
            result[name] = tensor
            continue
        for index in range(tensor.shape[0]):
            row = tensor.narrow(index, index + 1)
            block = f"{match[1]}_{index}/{match[2]}"
            result[block] = row.derive(block, tensor.shape[1:], lambda bits: bits[0])
    return result
