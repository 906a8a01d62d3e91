"""Ctrl-C during training: the first one stops the loop after the step in hand, the second one stops at once."""

from __future__ import annotations

import signal
import threading


class Interrupted(Exception):
    """The user asked to stop; raised between two steps, so that everything is whole."""


class Interrupts:
    """Context manager; `requested` becomes True on SIGINT or SIGTERM. Does nothing outside the main thread."""

    def __init__(self):
        self.requested = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def check(self, *_: object) -> None:
        """Call between two steps; arguments are ignored, so that it serves as a progress callback.

        Raises:
            Interrupted: a signal has come.
        """
        if self.requested:
            raise Interrupted

    def _handle(self, number: int, frame: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
