"""Choice of instruction set, threads, scratch memory, concurrent callers, fork."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from . import _lib as cpu
from ._compare import assert_same_bits, random


def _python(code: str, **environment: str) -> str:
    """Standard output of `code` in a fresh interpreter with the library loaded as `lib`."""
    prelude = f"import ctypes, os; lib = ctypes.CDLL({str(cpu.LIBRARY)!r})\n"
    for name in ("isa", "isa_list", "error"):
        prelude += f"lib.vit_cpu_{name}.restype = ctypes.c_char_p\n"
    keep = {k: v for k, v in os.environ.items() if k not in ("VIT_KERNELS_ISA", "OMP_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", prelude + code],
        env={**keep, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_version_is_the_package_version():
    from vit_kernels._version import __version__

    assert cpu.lib.vit_cpu_version().decode() == __version__


def test_instruction_sets_match_the_machine():
    """Against the kernel's own list of cpu features."""
    if platform.machine() == "aarch64":
        assert cpu.ISAS == ["neon"]
        return
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = next(line for line in lines if line.startswith("flags")).split()
    assert cpu.ISAS[0] == "baseline"
    assert ("avx2" in cpu.ISAS) == ("avx2" in flags and "fma" in flags)
    assert ("avx512" in cpu.ISAS) == {"avx512f", "avx512bw", "avx512dq", "avx512vl"}.issubset(flags)


def test_the_best_instruction_set_is_the_default():
    assert _python("print(lib.vit_cpu_isa().decode())") == cpu.ISAS[-1]


def _tiny_operands() -> dict[str, np.ndarray]:
    """So small that products are subnormal."""
    rng = np.random.default_rng(0)
    shapes = {"x": (600, 64), "dy": (600, 64), "w1": (128, 64), "w2": (64, 128), "square": (64, 64), "qkv": (4, 65, 3, 2, 32),
              "gamma": (64,), "gradient": (100_000,)}
    return {name: (2e-20 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}


def _every_kernel(v: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Outputs of all kernels, each large enough for two threads. Scalars are powers of two, which every rounding keeps."""
    b1, b2 = np.zeros(128, np.float32), np.zeros(64, np.float32)
    y, h = cpu.gelu_mlp(v["x"], v["w1"], b1, v["w2"], b2)
    out, lse = cpu.attention(v["qkv"], 0.25)
    norm = cpu.layer_norm(v["x"], v["gamma"], b2, 2.0**-20)
    w, first, second = np.ones(100_000, np.float32), np.zeros(100_000, np.float32), np.zeros(100_000, np.float32)
    cpu.check("adamw", w, first, second, v["gradient"], 2.0**-10, 0.0625, 0.125, 2.0**-10, 2.0**-26, 0.125, 2.0**-5, w.size)
    return [cpu.linear(v["x"], v["w1"]), *cpu.linear_backward(v["dy"], v["x"], v["square"])[:3], y, h,
            *cpu.gelu_mlp_backward(v["dy"], v["x"], h, v["w1"], v["w2"]), out, lse,
            cpu.attention_backward(out, v["qkv"], out, lse, 0.25), *norm,
            *cpu.layer_norm_backward(v["dy"], v["x"], v["gamma"], *norm[1:]), w, first, second]


def test_the_callers_arithmetic_changes_nothing(isa, odd_arithmetic):
    operands = _tiny_operands()
    with cpu.running_on(isa, threads=2):
        expected = _every_kernel(operands)
        with odd_arithmetic():
            results = [_every_kernel(operands) for _ in range(3)]
    tiny = np.finfo(np.float32).tiny
    assert sum(((abs(e) > 0) & (abs(e) < tiny)).any() for e in expected) >= 4
    for result in results:
        for mine, theirs in zip(result, expected):
            assert_same_bits(mine, theirs)


@pytest.mark.parametrize("isa", cpu.ISAS)
def test_environment_forces_an_instruction_set(isa):
    out = _python(
        "print(lib.vit_cpu_isa().decode(), repr(lib.vit_cpu_error().decode()))", VIT_KERNELS_ISA=isa
    )
    assert out == f"{isa} ''"


def test_environment_with_an_unknown_instruction_set_is_reported():
    out = _python("print(lib.vit_cpu_isa().decode(), lib.vit_cpu_error().decode())", VIT_KERNELS_ISA="sse9")
    assert out.startswith(cpu.ISAS[-1])
    assert "VIT_KERNELS_ISA=sse9" in out and ",".join(cpu.ISAS) in out


def test_set_isa_refuses_the_unknown():
    before = cpu.lib.vit_cpu_isa()
    assert cpu.lib.vit_cpu_set_isa(b"mmx") == cpu.ERROR_ISA
    assert cpu.lib.vit_cpu_set_isa(None) == cpu.ERROR_ISA
    assert cpu.lib.vit_cpu_isa() == before


def test_threads_follow_affinity_and_environment():
    cores = len(os.sched_getaffinity(0))
    assert _python("print(lib.vit_cpu_threads())") == str(cores)
    assert _python("print(lib.vit_cpu_threads())", OMP_NUM_THREADS="7") == "7"
    pinned = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    assert _python(pinned + "print(lib.vit_cpu_threads())") == "1"
    assert _python("lib.vit_cpu_set_threads(3); print(lib.vit_cpu_threads())") == "3"
    assert _python(
        "lib.vit_cpu_set_threads(3); lib.vit_cpu_set_threads(0); print(lib.vit_cpu_threads())"
    ) == str(cores)


def test_threads_ignore_what_mindspore_puts_in_the_environment():
    """`import mindspore` calls setenv("OMP_NUM_THREADS", "1"): only what the process was started with counts."""
    code = 'ctypes.CDLL(None).setenv(b"OMP_NUM_THREADS", b"1", 1); print(lib.vit_cpu_threads())'
    assert _python(code) == str(len(os.sched_getaffinity(0)))
    assert _python(code, OMP_NUM_THREADS="3") == "3"


def test_scratch_is_reused_and_bounded(rng):
    """The second call of the same size allocates nothing; a hundred different sizes do not add up."""
    x, w = random(rng, 300, 200), random(rng, 400, 200)
    cpu.linear(x, w)
    held = cpu.lib.vit_cpu_scratch_bytes()
    for _ in range(3):
        cpu.linear(x, w)
    assert cpu.lib.vit_cpu_scratch_bytes() == held
    for rows in range(1, 300, 3):
        cpu.linear(cpu.misaligned(x[:rows]), w)
    assert cpu.lib.vit_cpu_scratch_bytes() <= max(held, 4 << 20)


def test_several_python_threads_at_once(rng):
    """ctypes releases the interpreter lock, so these calls really overlap; each must get its own answer."""
    cases = [
        (random(rng, 150 + 7 * i, 64), random(rng, 100, 64), random(rng, 1, 60 + i, 3, 2, 16))
        for i in range(4)
    ]
    expected = [(cpu.linear(x, w), *cpu.attention(qkv, 0.25)) for x, w, qkv in cases]
    failures: list[BaseException] = []

    def work(index: int) -> None:
        try:
            x, w, qkv = cases[index]
            for _ in range(25):
                assert_same_bits((cpu.linear(x, w), *cpu.attention(qkv, 0.25)), expected[index])
        except BaseException as error:  # reported by the main thread
            failures.append(error)

    with cpu.running_on(threads=2):
        workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(timeout=120)
        assert not any(worker.is_alive() for worker in workers)
    assert not failures, failures[0]


def test_refused_after_fork():
    """A forked child has none of OpenMP's threads, so a kernel would hang: error 4, nothing written."""
    code = """
import numpy as np
x = np.ones((600, 256), np.float32); y = np.full((600, 256), 7, np.float32)
p = lambda a: ctypes.c_void_p(a.ctypes.data)
n = ctypes.c_int64
call = lambda: lib.vit_linear_forward(p(x), p(x), None, None, None, p(y), n(600), n(256), n(256))
lib.vit_cpu_set_threads(2)
assert call() == 0 and (y == 256).all()
y[:] = 7
pid = os.fork()
if pid == 0:
    code = call()
    os._exit(code if (y == 7).all() else 99)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), call())
"""
    assert _python(code) == f"{cpu.ERROR_FORKED} {cpu.OK}"


def test_denormal_and_huge_values_pass_through(isa):
    """No flush-to-zero mode leaks out of, or into, a kernel."""
    one = cpu.misaligned(np.ones((1, 1)))
    for value in (1e-42, 3e38, -1e-45):
        x = cpu.misaligned([[value]])
        assert_same_bits([cpu.linear(x, one)], [x])
