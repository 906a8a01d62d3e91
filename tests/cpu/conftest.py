"""Every kernel test runs once per instruction set that this machine has."""

from __future__ import annotations

import numpy as np
import pytest

from . import _lib as cpu


@pytest.fixture(params=cpu.ISAS)
def isa(request):
    """Selects the instruction set for the test."""
    with cpu.running_on(request.param):
        yield request.param


@pytest.fixture
def rng():
    """The same numbers for every test, whatever ran before."""
    return np.random.default_rng(20240501)
