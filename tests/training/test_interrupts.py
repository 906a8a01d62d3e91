"""Signals during training."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from vit_kernels.training.interrupts import Interrupted, Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_asks_second_insists(number):
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        interrupts.check()
        os.kill(os.getpid(), number)
        assert interrupts.requested
        with pytest.raises(Interrupted):
            interrupts.check(5)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
            signal.pause()
    assert signal.getsignal(number) is before


def test_other_threads_leave_signals_alone():
    before, inside = signal.getsignal(signal.SIGINT), []

    def work():
        with Interrupts() as interrupts:
            inside.append(signal.getsignal(signal.SIGINT))
            interrupts.check()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [before]
