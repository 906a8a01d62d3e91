"""What the commands share: exit codes, one-line errors, `--debug`, `--backend`, and the `--result` line.

Exit codes: 0 done, 2 wrong use, 1 anything else. An error is one message on stderr; the traceback comes with --debug.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import traceback
from typing import Any, Callable

from vit_kernels._version import __version__
from vit_kernels.errors import UsageError

BACKENDS = ("auto", "fused", "reference", "cpu", "ascend", "twin")


def parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that every command has."""
    made = argparse.ArgumentParser(prog=f"python -m vit_kernels.{command}", description=description,
                                   formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--backend", choices=BACKENDS, default="auto",
                      help="fused kernels of the device, or stock MindSpore operators ('reference')")
    made.add_argument("--debug", action="store_true", help="show the traceback of an error")
    made.add_argument("--version", action="version", version=__version__)
    return made


def run(main: Callable[[list[str]], int | None], argv: list[str] | None = None) -> int:
    """Run a command and turn what it raises into a message and an exit code.

    Args:
        main: takes the arguments; returns an exit code, None for 0.
        argv: the arguments; default: the process's.
    """
    argv = sys.argv[1:] if argv is None else argv
    debug = "--debug" in argv
    quiet_mindspore()
    try:
        return main(argv) or 0
    except SystemExit as stop:  # argparse: 0 after --help, 2 after a message on stderr
        return stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt as stop:
        print(f"interrupted{': ' + str(stop) if str(stop) else ''}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output has gone; there is nobody to tell. Keep the interpreter from trying again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"error: {_first_paragraph(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def print_result(document: Any) -> None:
    """The `--result` line and one JSON document, the last things a command prints. Numbers that are not finite are null."""
    sys.stderr.flush()
    print("--result")
    print(json.dumps(finite(document), indent=2, allow_nan=False), flush=True)


def _whole(text: str) -> int:
    # argparse would answer int()'s ValueError with the name of a function of this module.
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def positive_int(text: str) -> int:
    """argparse type: an integer >= 1."""
    value = _whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def non_negative_int(text: str) -> int:
    """argparse type: an integer >= 0."""
    value = _whole(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def seed(text: str) -> int:
    """argparse type: a seed that MindSpore and NumPy take, 0 to 2^32 - 1."""
    value = non_negative_int(text)
    if value >= 1 << 32:
        raise argparse.ArgumentTypeError(f"{text} is not below 2^32")
    return value


def positive_float(text: str) -> float:
    """argparse type: a finite number > 0."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, expected one like 0.001") from None
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def quiet_mindspore() -> None:
    """Hide MindSpore's own warnings, unless the user set a level; show this package's notices."""
    os.environ.setdefault("GLOG_v", "3")
    logging.basicConfig(format="%(message)s", stream=sys.stderr)


def graph_mode() -> None:
    """GRAPH_MODE: the whole step as one graph. On CPUs PyNative mode waits in a busy loop and is several times slower."""
    import mindspore as ms

    ms.set_context(mode=ms.GRAPH_MODE)


def _first_paragraph(error: BaseException) -> str:
    # MindSpore appends the C++ call stack after a ruled line.
    text = str(error).split("\n\n---")[0].strip()
    return text or type(error).__name__


def finite(value: Any) -> Any:
    """A JSON-ready document with null for the numbers that JSON does not know."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
