"""What can go wrong outside the operators: exceptions whose message is all that a user needs to read."""

from __future__ import annotations


class UsageError(ValueError):
    """The command or call asks for something that makes no sense; nothing was done. Exit code 2."""


class DataError(ValueError):
    """A data set cannot be used as it is. The message names the file or folder and the remedy."""


class ImageError(DataError):
    """An image cannot be read. The message names the file and the remedy."""


class OutputError(OSError):
    """A result cannot be written. The message names the path and the remedy."""


class TrainingError(RuntimeError):
    """Training cannot go on, for instance because the loss is not finite any more."""


class ExportError(RuntimeError):
    """A model cannot be exported, or the exported file does not compute what the model does; no file was written."""
