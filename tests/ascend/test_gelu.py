"""csrc/ascend/common/gelu.h on the twin, against the formulas in float64."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.twin import _native_module as native
from tests.twin.conftest import compile_kernels

FORMS = {"erf": 0, "tanh": 1}
KERNELS = Path(__file__).parent / "kernels"


@pytest.fixture(scope="module", autouse=True)
def _kernels(tmp_path_factory):
    native.twin_load(str(compile_kernels(KERNELS / "gelu.cpp", tmp_path_factory.mktemp("gelu") / "gelu.so")))


def gelu(x: np.ndarray, form: str) -> tuple[np.ndarray, np.ndarray]:
    """The function and its derivative in float64."""
    x = x.astype(np.float64)
    if form == "erf":
        phi = np.vectorize(lambda v: 0.5 * math.erfc(-v / math.sqrt(2)))(x)
        return x * phi, phi + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    c = math.sqrt(2 / math.pi)
    t = np.tanh(c * (x + 0.044715 * x**3))
    return 0.5 * x * (1 + t), 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x)


def forward(x: np.ndarray, form: str, **kwargs) -> np.ndarray:
    result = native.launch("gelu_forward_strip", [x], [x.size, FORMS[form]], [x.nbytes], **kwargs)
    assert result["diagnostics"] == []
    return result["outputs"][0].view(np.float32)


def backward(x: np.ndarray, form: str, **kwargs) -> tuple[np.ndarray, np.ndarray]:
    result = native.launch("gelu_backward_strip", [x], [x.size, FORMS[form]], [x.nbytes, x.nbytes], **kwargs)
    assert result["diagnostics"] == []
    return tuple(out.view(np.float32) for out in result["outputs"])


def values(count: int, seed: int) -> np.ndarray:
    """Dense around zero, reaching into both tails."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(0, 1, count // 2), rng.uniform(-16, 16, count - count // 2)]).astype(np.float32)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [4096, 1000, 7, 64])
def test_forward_and_derivative(form, count):
    x = values(count, count)
    value, slope = gelu(x, form)
    assert np.abs(forward(x, form) - value).max() < 2e-6
    y, derivative = backward(x, form)
    assert np.abs(y - value).max() < 2e-6
    assert np.abs(derivative - slope).max() < 2e-6


def test_negative_tail_keeps_its_digits():
    x = np.linspace(-5, 0, 4096).astype(np.float32)[:-1]
    expected, _ = gelu(x, "erf")
    assert (np.abs(forward(x, "erf") - expected) <= 1e-5 * np.abs(expected)).all()


@pytest.mark.parametrize("form", FORMS)
def test_special_values(form):
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 65504, -65504, 3e38, -3e38, 1e-7, -1e-7, 1e-38], np.float32)
    y = forward(x, form)
    again, slope = backward(x, form)
    np.testing.assert_array_equal(again, y)
    value = np.where(x > 0, x, 0)
    value[2] = np.nan
    np.testing.assert_allclose(y[:9], value[:9], rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(y[9:], x[9:] / 2, rtol=1e-5, atol=1e-38)
    np.testing.assert_allclose(slope, [1, 0, np.nan, 0.5, 0.5, 1, 0, 1, 0, 0.5, 0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_execution_order_does_not_matter(form):
    x = values(1500, 5)
    y = forward(x, form)
    both = backward(x, form)
    for run in [{"run_mode": "late"}] + [{"run_mode": "random", "seed": seed} for seed in range(5)]:
        np.testing.assert_array_equal(forward(x, form, **run), y)
        np.testing.assert_array_equal(backward(x, form, **run), both)


@pytest.mark.parametrize("op", ["gelu_forward_strip", "gelu_backward_strip"])
@pytest.mark.parametrize("form", FORMS)
def test_every_barrier_is_needed(op, form):
    x = values(1500, 5)
    args = op, [x], [x.size, FORMS[form]], [x.nbytes] * (1 if op == "gelu_forward_strip" else 2)
    native.launch(*args)
    sites = [s["site"] for s in native.twin_sync_sites(op) if s["file"].endswith("gelu.h") and s["kind"] == "PipeBarrier"]
    assert len(sites) >= 6
    assert [site for site in sites if not native.launch(*args, mute=[site])["diagnostics"]] == []
