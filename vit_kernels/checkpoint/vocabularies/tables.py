"""Every name of every vocabulary, one explicit table each: our (timm's) name -> (their names, layout).

`{i}` is the block's number. A name that a table does not hold is reported, never guessed. Sources: the published code
and files of timm and MAE, MindFormers r0.2 to v1.5, MindCV, Hugging Face transformers 4 and 5, google-research/
vision_transformer and big_vision.
"""

from __future__ import annotations

import dataclasses

from vit_kernels.checkpoint.vocabularies.layouts import (
    FLAT, GOOGLE_CONV, GOOGLE_OUT, GOOGLE_QKV_BIAS, GOOGLE_QKV_WEIGHT, SAME, SPLIT, TRANSPOSED, Layout,
)

Table = dict[str, tuple[tuple[str, ...], Layout]]


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """One project's names for a Vision Transformer.

    Attributes:
        name: how commands and reports call it.
        table: our template -> (their templates, layout).
        inner: prefixes that the body's names can have and the head's names do not; the first is written.
        synonyms: other spellings of a template of `table`, for reading.
        ignored: regular expression over their names -> why such a tensor is not needed.
    """

    name: str
    table: Table
    inner: tuple[str, ...] = ("",)
    synonyms: dict[str, str] = dataclasses.field(default_factory=dict)
    ignored: dict[str, str] = dataclasses.field(default_factory=dict)


def _table(rows: dict[str, str | tuple]) -> Table:
    """Rows are 'their name', ('their name', LAYOUT) or ('query', 'key', 'value', LAYOUT)."""
    table: Table = {}
    for ours, row in rows.items():
        row = (row, SAME) if isinstance(row, str) else row
        table[ours] = (row[:-1], row[-1])
    return table


HEAD = ("head.weight", "head.bias")

OURS = (
    "cls_token", "reg_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias",
    "blocks.{i}.norm1.weight", "blocks.{i}.norm1.bias",
    "blocks.{i}.attn.qkv.weight", "blocks.{i}.attn.qkv.bias",
    "blocks.{i}.attn.proj.weight", "blocks.{i}.attn.proj.bias",
    "blocks.{i}.ls1.gamma",
    "blocks.{i}.norm2.weight", "blocks.{i}.norm2.bias",
    "blocks.{i}.mlp.fc1.weight", "blocks.{i}.mlp.fc1.bias",
    "blocks.{i}.mlp.fc2.weight", "blocks.{i}.mlp.fc2.bias",
    "blocks.{i}.ls2.gamma",
    "norm.weight", "norm.bias", "fc_norm.weight", "fc_norm.bias", *HEAD,
)

_DECODER = "the decoder of masked-image pre-training"
_MASK = "the mask token of pre-training"
_POOLER = "a representation layer that the classifier does not use"

TIMM = Vocabulary(
    "timm", _table({name: name for name in OURS}),
    # The DINOv2 repository's spelling; otherwise it has timm's names.
    synonyms={"register_tokens": "reg_token"},
    ignored={r"mask_token": _MASK, r"decoder_.*": _DECODER, r"pre_logits\..*": _POOLER},
)

MINDCV = Vocabulary(
    "mindcv", _table({
        **{name: name for name in OURS if "norm" not in name},
        "blocks.{i}.norm1.weight": "blocks.{i}.norm1.gamma",
        "blocks.{i}.norm1.bias": "blocks.{i}.norm1.beta",
        "blocks.{i}.norm2.weight": "blocks.{i}.norm2.gamma",
        "blocks.{i}.norm2.bias": "blocks.{i}.norm2.beta",
        "norm.weight": "norm.gamma",
        "norm.bias": "norm.beta",
        "fc_norm.weight": "fc_norm.gamma",
        "fc_norm.bias": "fc_norm.beta",
    }),
    ignored={r"mask_token": _MASK, r"decoder_.*": _DECODER},
)

MINDFORMERS = Vocabulary(
    "mindformers", _table({
        "cls_token": "cls_tokens",
        "pos_embed": "pos_embed",
        "patch_embed.proj.weight": "patch_embed.proj.weight",
        "patch_embed.proj.bias": "patch_embed.proj.bias",
        "blocks.{i}.norm1.weight": "blocks.{i}.layernorm1.gamma",
        "blocks.{i}.norm1.bias": "blocks.{i}.layernorm1.beta",
        "blocks.{i}.attn.qkv.weight": ("blocks.{i}.attention.dense1.weight", "blocks.{i}.attention.dense2.weight",
                                       "blocks.{i}.attention.dense3.weight", SPLIT),
        "blocks.{i}.attn.qkv.bias": ("blocks.{i}.attention.dense1.bias", "blocks.{i}.attention.dense2.bias",
                                     "blocks.{i}.attention.dense3.bias", SPLIT),
        "blocks.{i}.attn.proj.weight": ("blocks.{i}.attention.projection.weight", TRANSPOSED),
        "blocks.{i}.attn.proj.bias": "blocks.{i}.attention.projection.bias",
        "blocks.{i}.ls1.gamma": "blocks.{i}.gamma1",
        "blocks.{i}.norm2.weight": "blocks.{i}.layernorm2.gamma",
        "blocks.{i}.norm2.bias": "blocks.{i}.layernorm2.beta",
        "blocks.{i}.mlp.fc1.weight": ("blocks.{i}.output.mapping.weight", TRANSPOSED),
        "blocks.{i}.mlp.fc1.bias": "blocks.{i}.output.mapping.bias",
        "blocks.{i}.mlp.fc2.weight": ("blocks.{i}.output.projection.weight", TRANSPOSED),
        "blocks.{i}.mlp.fc2.bias": "blocks.{i}.output.projection.bias",
        "blocks.{i}.ls2.gamma": "blocks.{i}.gamma2",
        "norm.weight": "layernorm.gamma",
        "norm.bias": "layernorm.beta",
        "fc_norm.weight": "fc_norm.gamma",
        "fc_norm.bias": "fc_norm.beta",
        "head.weight": "head.weight",
        "head.bias": "head.bias",
    }),
    # r0.2 has no prefix. Its MAE calls the final norm `norm`, its converter calls it `layernorm` with torch's suffixes.
    inner=("vit.", ""),
    synonyms={"norm.gamma": "layernorm.gamma", "norm.beta": "layernorm.beta",
              "layernorm.weight": "layernorm.gamma", "layernorm.bias": "layernorm.beta"},
    ignored={r"mask_tokens?": _MASK, r"decoder.*": _DECODER},
)

_HF_EMBEDDINGS = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
}
_HF_ENDS = {
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
    "head.weight": "classifier.weight",
    "head.bias": "classifier.bias",
}
_HF_IGNORED = {r"embeddings\.mask_token": _MASK, r"decoder\..*": _DECODER, r"pooler\..*": _POOLER}

HF_VIT = Vocabulary(
    "hf-vit", _table({
        **_HF_EMBEDDINGS,
        "blocks.{i}.norm1.weight": "encoder.layer.{i}.layernorm_before.weight",
        "blocks.{i}.norm1.bias": "encoder.layer.{i}.layernorm_before.bias",
        "blocks.{i}.attn.qkv.weight": ("encoder.layer.{i}.attention.attention.query.weight",
                                       "encoder.layer.{i}.attention.attention.key.weight",
                                       "encoder.layer.{i}.attention.attention.value.weight", SPLIT),
        "blocks.{i}.attn.qkv.bias": ("encoder.layer.{i}.attention.attention.query.bias",
                                     "encoder.layer.{i}.attention.attention.key.bias",
                                     "encoder.layer.{i}.attention.attention.value.bias", SPLIT),
        "blocks.{i}.attn.proj.weight": "encoder.layer.{i}.attention.output.dense.weight",
        "blocks.{i}.attn.proj.bias": "encoder.layer.{i}.attention.output.dense.bias",
        "blocks.{i}.norm2.weight": "encoder.layer.{i}.layernorm_after.weight",
        "blocks.{i}.norm2.bias": "encoder.layer.{i}.layernorm_after.bias",
        "blocks.{i}.mlp.fc1.weight": "encoder.layer.{i}.intermediate.dense.weight",
        "blocks.{i}.mlp.fc1.bias": "encoder.layer.{i}.intermediate.dense.bias",
        "blocks.{i}.mlp.fc2.weight": "encoder.layer.{i}.output.dense.weight",
        "blocks.{i}.mlp.fc2.bias": "encoder.layer.{i}.output.dense.bias",
        **_HF_ENDS,
    }),
    inner=("vit.", "vit_mae.", ""), ignored=_HF_IGNORED,
)

HF_DINOV2 = Vocabulary(
    "hf-dinov2", _table({
        **_HF_EMBEDDINGS,
        "reg_token": "embeddings.register_tokens",
        "blocks.{i}.norm1.weight": "encoder.layer.{i}.norm1.weight",
        "blocks.{i}.norm1.bias": "encoder.layer.{i}.norm1.bias",
        "blocks.{i}.attn.qkv.weight": ("encoder.layer.{i}.attention.attention.query.weight",
                                       "encoder.layer.{i}.attention.attention.key.weight",
                                       "encoder.layer.{i}.attention.attention.value.weight", SPLIT),
        "blocks.{i}.attn.qkv.bias": ("encoder.layer.{i}.attention.attention.query.bias",
                                     "encoder.layer.{i}.attention.attention.key.bias",
                                     "encoder.layer.{i}.attention.attention.value.bias", SPLIT),
        "blocks.{i}.attn.proj.weight": "encoder.layer.{i}.attention.output.dense.weight",
        "blocks.{i}.attn.proj.bias": "encoder.layer.{i}.attention.output.dense.bias",
        "blocks.{i}.ls1.gamma": "encoder.layer.{i}.layer_scale1.lambda1",
        "blocks.{i}.norm2.weight": "encoder.layer.{i}.norm2.weight",
        "blocks.{i}.norm2.bias": "encoder.layer.{i}.norm2.bias",
        "blocks.{i}.mlp.fc1.weight": "encoder.layer.{i}.mlp.fc1.weight",
        "blocks.{i}.mlp.fc1.bias": "encoder.layer.{i}.mlp.fc1.bias",
        "blocks.{i}.mlp.fc2.weight": "encoder.layer.{i}.mlp.fc2.weight",
        "blocks.{i}.mlp.fc2.bias": "encoder.layer.{i}.mlp.fc2.bias",
        "blocks.{i}.ls2.gamma": "encoder.layer.{i}.layer_scale2.lambda1",
        **_HF_ENDS,
    }),
    inner=("dinov2.", "dinov2_with_registers.", ""), ignored=_HF_IGNORED,
)

# transformers 5 renamed its modules; save_pretrained still writes the names above, torch.save(model.state_dict()) these.
_HF5_ATTENTION = {
    "encoder.layer.{i}.attention.q_proj.weight": "encoder.layer.{i}.attention.attention.query.weight",
    "encoder.layer.{i}.attention.q_proj.bias": "encoder.layer.{i}.attention.attention.query.bias",
    "encoder.layer.{i}.attention.k_proj.weight": "encoder.layer.{i}.attention.attention.key.weight",
    "encoder.layer.{i}.attention.k_proj.bias": "encoder.layer.{i}.attention.attention.key.bias",
    "encoder.layer.{i}.attention.v_proj.weight": "encoder.layer.{i}.attention.attention.value.weight",
    "encoder.layer.{i}.attention.v_proj.bias": "encoder.layer.{i}.attention.attention.value.bias",
    "encoder.layer.{i}.attention.o_proj.weight": "encoder.layer.{i}.attention.output.dense.weight",
    "encoder.layer.{i}.attention.o_proj.bias": "encoder.layer.{i}.attention.output.dense.bias",
}
HF_DINOV2.synonyms.update(_HF5_ATTENTION)
HF_VIT.synonyms.update({
    **{name.replace("encoder.layer.", "layers."): old for name, old in _HF5_ATTENTION.items()},
    "layers.{i}.layernorm_before.weight": "encoder.layer.{i}.layernorm_before.weight",
    "layers.{i}.layernorm_before.bias": "encoder.layer.{i}.layernorm_before.bias",
    "layers.{i}.layernorm_after.weight": "encoder.layer.{i}.layernorm_after.weight",
    "layers.{i}.layernorm_after.bias": "encoder.layer.{i}.layernorm_after.bias",
    "layers.{i}.mlp.fc1.weight": "encoder.layer.{i}.intermediate.dense.weight",
    "layers.{i}.mlp.fc1.bias": "encoder.layer.{i}.intermediate.dense.bias",
    "layers.{i}.mlp.fc2.weight": "encoder.layer.{i}.output.dense.weight",
    "layers.{i}.mlp.fc2.bias": "encoder.layer.{i}.output.dense.bias",
})


def _google(pos_embed: str, norm2: str, attention: str, mlp: str) -> Table:
    block = "Transformer/encoderblock_{i}"
    attention = f"{block}/{attention}"
    return _table({
        "cls_token": "cls",
        "pos_embed": pos_embed,
        "patch_embed.proj.weight": ("embedding/kernel", GOOGLE_CONV),
        "patch_embed.proj.bias": ("embedding/bias", FLAT),
        "blocks.{i}.norm1.weight": (f"{block}/LayerNorm_0/scale", FLAT),
        "blocks.{i}.norm1.bias": (f"{block}/LayerNorm_0/bias", FLAT),
        "blocks.{i}.attn.qkv.weight": (f"{attention}/query/kernel", f"{attention}/key/kernel",
                                       f"{attention}/value/kernel", GOOGLE_QKV_WEIGHT),
        "blocks.{i}.attn.qkv.bias": (f"{attention}/query/bias", f"{attention}/key/bias",
                                     f"{attention}/value/bias", GOOGLE_QKV_BIAS),
        "blocks.{i}.attn.proj.weight": (f"{attention}/out/kernel", GOOGLE_OUT),
        "blocks.{i}.attn.proj.bias": (f"{attention}/out/bias", FLAT),
        "blocks.{i}.norm2.weight": (f"{block}/{norm2}/scale", FLAT),
        "blocks.{i}.norm2.bias": (f"{block}/{norm2}/bias", FLAT),
        "blocks.{i}.mlp.fc1.weight": (f"{block}/{mlp}/Dense_0/kernel", TRANSPOSED),
        "blocks.{i}.mlp.fc1.bias": (f"{block}/{mlp}/Dense_0/bias", FLAT),
        "blocks.{i}.mlp.fc2.weight": (f"{block}/{mlp}/Dense_1/kernel", TRANSPOSED),
        "blocks.{i}.mlp.fc2.bias": (f"{block}/{mlp}/Dense_1/bias", FLAT),
        "norm.weight": ("Transformer/encoder_norm/scale", FLAT),
        "norm.bias": ("Transformer/encoder_norm/bias", FLAT),
        "head.weight": ("head/kernel", TRANSPOSED),
        "head.bias": ("head/bias", FLAT),
    })


_GOOGLE_IGNORED = {r"pre_logits/.*": _POOLER}
GOOGLE = Vocabulary(
    "google", _google("Transformer/posembed_input/pos_embedding", "LayerNorm_2", "MultiHeadDotProductAttention_1",
                      "MlpBlock_3"), ignored=_GOOGLE_IGNORED)
BIG_VISION = Vocabulary(
    "big-vision", _google("pos_embedding", "LayerNorm_1", "MultiHeadDotProductAttention_0", "MlpBlock_0"),
    inner=("params/", "params/img/", ""), ignored=_GOOGLE_IGNORED)

# In the order of preference when two explain a file equally well.
VOCABULARIES = {v.name: v for v in (TIMM, MINDCV, MINDFORMERS, HF_VIT, HF_DINOV2, GOOGLE, BIG_VISION)}
