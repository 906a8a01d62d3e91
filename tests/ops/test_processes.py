"""Threads that share the operators, forked children, and environments that cannot work: each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
from mindspore import Tensor

from tests.ops._cases import CASES

ROOT = Path(__file__).resolve().parents[2]


def _run(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                          capture_output=True, text=True, timeout=300)


def test_two_threads_at_once(pynative_mode):
    """Two Python threads run every operator on data of their own, each 20 times: the bits of a lone thread."""
    operators = {name: case.make("cpu") for name, case in CASES.items()}
    arguments = {(name, seed): [Tensor(a.astype(np.float32)) for a in case.arrays(seed)]
                 for name, case in CASES.items() for seed in (1, 2)}

    def run(name, seed):
        out = operators[name](*arguments[name, seed])
        return [o.asnumpy().copy() for o in (out if isinstance(out, tuple) else (out,))]

    expected = {key: run(*key) for key in arguments}
    wrong, start = [], threading.Barrier(2)

    def work(seed):
        start.wait()
        for _ in range(20):
            for name in operators:
                for got, alone in zip(run(name, seed), expected[name, seed]):
                    if not (got == alone).all():
                        wrong.append(name)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


FORK = """
import os, sys
import mindspore as ms
import numpy as np
from mindspore import Tensor
from vit_kernels import ops
ms.runtime.launch_blocking()
op = ops.LinearOp("cpu")
x, w = Tensor(np.ones((64, 512), np.float32)), Tensor(np.ones((512, 512), np.float32))
op(x, w).asnumpy()
pid = os.fork()
if pid == 0:
    try:
        op(x, w)
    except RuntimeError as error:
        print("refused:", error, flush=True)
        os._exit(0)
    os._exit(3)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print("child", code, "parent", float(op(x, w).asnumpy()[0, 0]))
"""


def test_a_forked_child_is_refused():
    """OpenMP would wait for threads that the fork did not copy; the parent goes on."""
    ran = _run(FORK)
    assert ran.returncode == 0, ran.stderr[-2000:]
    refused, rest = ran.stdout.strip().splitlines()
    assert refused.startswith("refused: vit_kernels: the fused CPU kernels cannot run in a forked process")
    assert "'spawn'" in refused and "VIT_KERNELS_BACKEND=reference" in refused
    assert rest == "child 0 parent 512.0"


def test_unknown_instruction_set():
    ran = _run("from vit_kernels import ops; ops.resolve_backend('fused')", VIT_KERNELS_ISA="mmx")
    assert ran.returncode == 1
    assert "VIT_KERNELS_ISA=mmx is not available on this machine; use one of: baseline" in ran.stderr


def test_environment_moves_a_whole_program_to_the_reference():
    ran = _run("from vit_kernels import ops; print(ops.LinearOp().backend, ops.AttentionOp(64).backend)",
               VIT_KERNELS_BACKEND="reference")
    assert ran.stdout.split() == ["reference", "reference"], ran.stderr[-2000:]
