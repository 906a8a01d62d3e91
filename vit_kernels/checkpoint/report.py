"""The comparison of a checkpoint with a model, and how it is shown."""

from __future__ import annotations

import dataclasses

_SHOWN = 8


@dataclasses.dataclass
class LoadReport:
    """What happened to every tensor of the checkpoint and every parameter of the model.

    Attributes:
        path: the file.
        format: 'ckpt', 'torch', 'torch-legacy', 'safetensors' or 'npz'.
        vocabulary: the names it had.
        matched: our names, loaded as they are.
        reshaped: our name -> what was done to make it fit.
        missing: parameters of the model that the checkpoint lacks.
        unexpected: tensors of the checkpoint that the model lacks.
        mismatched: our name -> 'shape in the file, shape in the model'.
        replaced: parameters of the head that keep their starting values, and why.
        ignored: tensors that are not needed -> why.
        warnings: sentences about values (NaN, infinities, rows of zeros).
    """

    path: str
    format: str
    vocabulary: str
    matched: list[str] = dataclasses.field(default_factory=list)
    reshaped: dict[str, str] = dataclasses.field(default_factory=dict)
    missing: list[str] = dataclasses.field(default_factory=list)
    unexpected: list[str] = dataclasses.field(default_factory=list)
    mismatched: dict[str, str] = dataclasses.field(default_factory=dict)
    replaced: dict[str, str] = dataclasses.field(default_factory=dict)
    ignored: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every parameter got its value from the file and nothing was left over."""
        return not (self.missing or self.unexpected or self.mismatched or self.replaced)

    def summary(self) -> str:
        """One line with the counts."""
        counts = [f"{len(self.matched)} matched"]
        for name in ("reshaped", "missing", "unexpected", "mismatched", "replaced", "ignored"):
            if getattr(self, name):
                counts.append(f"{len(getattr(self, name))} {name}")
        return f"{self.path} ({self.format}, {self.vocabulary} names): " + ", ".join(counts)

    def __str__(self) -> str:
        lines = [self.summary()]
        for name in ("reshaped", "mismatched", "replaced"):
            details = getattr(self, name)
            lines += [f"  {name}: {key}: {what}" for key, what in list(details.items())[:_SHOWN]]
            lines += _more(name, details)
        for name in ("missing", "unexpected"):
            lines += [f"  {name}: {key}" for key in getattr(self, name)[:_SHOWN]]
            lines += _more(name, getattr(self, name))
        reasons: dict[str, list[str]] = {}
        for key, reason in self.ignored.items():
            reasons.setdefault(reason, []).append(key)
        for reason, keys in reasons.items():
            shown = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
            lines.append(f"  ignored: {shown}: {reason}")
        return "\n".join(lines + [f"  warning: {text}" for text in self.warnings])


def _more(name: str, items: list | dict) -> list[str]:
    return [f"  {name}: ... and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
