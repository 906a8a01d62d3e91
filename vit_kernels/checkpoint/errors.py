"""What can go wrong with a checkpoint, as two exceptions."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A checkpoint cannot be read, converted, loaded or written. The message names the file and the reason."""


class CheckpointMismatch(CheckpointError):
    """A readable checkpoint does not fit the model. `report` holds the full comparison."""

    def __init__(self, message: str, report: object):
        super().__init__(message)
        self.report = report
