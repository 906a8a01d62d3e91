"""The mutation test over all Ascend C kernels: leaves out each flag, barrier and queue call, halves each buffer, one at a
time, and lists what nothing notices.

    python scripts/mutation.py [KERNEL ...]        some minutes each

Exit code 1 when fewer than 95 % of the mutants of all kernels named are noticed. The tests of each kernel pin its survivors and
say why nothing can notice them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.ascend import (  # noqa: E402
    _attention, _cases_attention, _cases_gelu_mlp, _cases_layer_norm, _cases_linear, _gelu_mlp, _layer_norm, _linear,
)
from tests.ascend._launch import Launch  # noqa: E402
from tests.ascend._mutation import launches, survivors  # noqa: E402

ENOUGH = 0.95


def _gelu_backward(case, v) -> Launch:
    return _gelu_mlp.backward_launch(case, v, _gelu_mlp.to_bits(_gelu_mlp.pre_activation(v), case.dtype))


norm, added = _cases_layer_norm.MUTATION, _cases_layer_norm.with_add(_cases_layer_norm.MUTATION)
KERNELS = {
    "vit_attention": lambda: _attention.forward_launches(_cases_attention.FORWARD_MUTATION),
    "vit_attention_grad": lambda: _attention.backward_launches(_cases_attention.BACKWARD_MUTATION),
    "vit_layer_norm": lambda: launches(_layer_norm.forward_launch, norm, _layer_norm.inputs),
    "vit_add_layer_norm": lambda: launches(_layer_norm.forward_launch, added, _layer_norm.inputs),
    "vit_layer_norm_grad": lambda: launches(_layer_norm.backward_launch, norm, _layer_norm.inputs),
    "vit_add_layer_norm_grad": lambda: launches(_layer_norm.backward_launch, added, _layer_norm.inputs),
    "vit_linear": lambda: launches(_linear.forward_launch, _cases_linear.FORWARD_MUTATION, _linear.inputs),
    "vit_linear_grad": lambda: launches(_linear.backward_launch, _cases_linear.BACKWARD_MUTATION, _linear.inputs),
    "vit_gelu_mlp": lambda: launches(_gelu_mlp.forward_launch, _cases_gelu_mlp.MUTATION, _gelu_mlp.inputs),
    "vit_gelu_mlp_grad": lambda: launches(_gelu_backward, _cases_gelu_mlp.MUTATION, _gelu_mlp.inputs),
}


def main(argv: list[str]) -> int:
    """Run the named kernels, or all."""
    unknown = set(argv) - set(KERNELS)
    if unknown:
        print(f"unknown kernel {', '.join(sorted(unknown))}; expected some of {', '.join(KERNELS)}", file=sys.stderr)
        return 2
    mutants = left = 0
    for name in argv or KERNELS:
        begin = time.perf_counter()
        alive, count = survivors(name, KERNELS[name]())
        mutants, left = mutants + count, left + len(alive)
        print(f"{name:26} {count - len(alive):4} of {count:4} noticed  ({time.perf_counter() - begin:.0f} s)", flush=True)
        for site, kind in sorted(alive.items()):
            print(f"    survives: {kind} at {site}", flush=True)
    print(f"{'all':26} {mutants - left:4} of {mutants:4} noticed, {100 * (mutants - left) / mutants:.1f} %")
    return int(left > (1 - ENOUGH) * mutants)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
