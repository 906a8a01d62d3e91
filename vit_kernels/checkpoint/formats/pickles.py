"""A pickle interpreter that can build data and nothing else.

PyTorch files keep their structure in a pickle, and a pickle is a program: the standard loader calls whatever function
it names. This interpreter has the opcodes but no way to reach Python: a global is looked up in a table the caller
supplies, and anything not in the table becomes an inert `Stub` that remembers its name and ignores what is done to it.
An argparse.Namespace from a training script, an optimizer's state or an attack all end as such stubs.

It is an interpreter of its own, not a subclass of pickle.Unpickler, because the standard one allocates what the file
asks for (a memo index of 2**32 takes 64 GB) and hashes what the file built (a tuple nested a million deep overflows
the C stack). Here the size, the number of opcodes, the memo and the kinds of keys are all bounded.
"""

from __future__ import annotations

import io
import pickletools
from typing import Any, Callable, Mapping

from vit_kernels.checkpoint.errors import CheckpointError

MAX_BYTES = 64 << 20
_MAX_OPCODES = 4_000_000
_MAX_DEPTH = 1000
_KEY_TYPES = (str, int, float, bytes, type(None))


class Stub:
    """Something the pickle asked for that is not data; keeps its name and nothing else."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name


class Global:
    """A name the pickle looked up that the caller's table knows."""

    __slots__ = ("name", "build")

    def __init__(self, name: str, build: Callable[..., Any] | None):
        self.name, self.build = name, build


_MARK = object()
# Opcodes whose argument, as pickletools decodes it, is the value itself.
_LITERALS = frozenset("BININT BININT1 BININT2 LONG1 LONG4 INT LONG BINFLOAT FLOAT BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
                      "UNICODE BINBYTES SHORT_BINBYTES BINBYTES8 STRING BINSTRING SHORT_BINSTRING".split())
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def load(data: bytes | bytearray, allowed: Mapping[str, Callable[..., Any] | None],
         persistent: Callable[[Any], Any], where: str) -> tuple[Any, int]:
    """Interpret one pickle.

    Args:
        data: begins with the pickle; what follows it is not touched.
        allowed: 'module name' -> function called with the arguments of a REDUCE, or None for a name that may be
            mentioned but not called.
        persistent: turns a persistent id into an object.
        where: the file, for messages.

    Returns:
        (the object, number of bytes the pickle took). Dicts, lists, tuples, strings, numbers, what `allowed` and
        `persistent` return, and stubs.

    Raises:
        CheckpointError: damaged, or beyond the bounds.
    """
    machine = _Machine(allowed, persistent, where)
    stream = io.BytesIO(data)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count > _MAX_OPCODES:
                raise CheckpointError(f"{where}: its pickle has more than {_MAX_OPCODES} opcodes; no checkpoint does")
            machine.step(opcode.name, argument)
    except CheckpointError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, MemoryError, RecursionError,
            UnicodeError) as error:
        raise CheckpointError(f"{where}: its pickle is truncated or damaged ({str(error)[:100] or type(error).__name__}); "
                              "copy or download it again") from None
    if len(machine.stack) != 1:
        raise CheckpointError(f"{where}: its pickle is damaged (it ends with {len(machine.stack)} objects)")
    return machine.stack[0], stream.tell()


class _Machine:
    def __init__(self, allowed: Mapping[str, Callable[..., Any] | None], persistent: Callable[[Any], Any], where: str):
        self.allowed, self.persistent, self.where = allowed, persistent, where
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        # Depth of nesting by object identity; objects stay alive in `kept`, so identities stay unique.
        self.depth: dict[int, int] = {}
        self.kept: list[Any] = []

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = self.top()
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[argument])
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.top()
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            self.nest(tuple(self.to_mark()))
        elif name in _TUPLES:
            self.nest(tuple(reversed([self.pop() for _ in range(_TUPLES[name])])))
        elif name in ("APPEND", "APPENDS"):
            values = [self.pop()] if name == "APPEND" else self.to_mark()
            target = self.top()
            if isinstance(target, list):
                target.extend(values)
                self.deepen(target, values)
        elif name in ("SETITEM", "SETITEMS"):
            self.set_items([self.pop(), self.pop()][::-1] if name == "SETITEM" else self.to_mark())
        elif name in ("LIST", "DICT"):
            values = self.to_mark()
            stack.append([] if name == "LIST" else {})
            if name == "LIST":
                stack[-1].extend(values)
                self.deepen(stack[-1], values)
            else:
                self.set_items(values)
        else:
            self.step_object(name, argument)

    def step_object(self, name: str, argument: Any) -> None:
        """The opcodes that would reach Python in the standard loader."""
        stack = self.stack
        if name == "GLOBAL":
            stack.append(self.find(argument))
        elif name == "STACK_GLOBAL":
            attribute, module = self.pop(), self.pop()
            stack.append(self.find(f"{module} {attribute}" if isinstance(module, str) and isinstance(attribute, str) else "?"))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, function = self.pop(), self.pop()
            self.call(function, arguments)
        elif name == "NEWOBJ_EX":
            _, arguments, function = self.pop(), self.pop(), self.pop()
            self.call(function, arguments)
        elif name == "INST":
            self.to_mark()
            stack.append(Stub(argument))
        elif name == "OBJ":
            values = self.to_mark()
            stack.append(Stub(getattr(values[0], "name", "?") if values else "?"))
        elif name == "BUILD":
            # State for an object: our objects have none, and a stub's is not wanted.
            self.pop()
            self.top()
        elif name in ("BINPERSID", "PERSID"):
            stack.append(self.persistent(self.pop() if name == "BINPERSID" else argument))
        elif name in ("EMPTY_SET", "BYTEARRAY8"):
            stack.append(Stub(name))
        elif name == "FROZENSET":
            self.to_mark()
            stack.append(Stub("frozenset"))
        elif name == "ADDITEMS":
            self.to_mark()
        elif name in ("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"):
            raise CheckpointError(f"{self.where}: its pickle uses {name}, which no PyTorch file does; refused")
        elif name == "POP":
            self.pop(any_object=True)
        elif name == "POP_MARK":
            self.to_mark()
        elif name == "DUP":
            stack.append(self.top())
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise CheckpointError(f"{self.where}: its pickle has the unknown opcode {name}")

    def pop(self, any_object: bool = False) -> Any:
        value = self.stack.pop()
        if value is _MARK and not any_object:
            raise IndexError("a mark where an object was expected")
        return value

    def top(self) -> Any:
        if self.stack[-1] is _MARK:
            raise IndexError("a mark where an object was expected")
        return self.stack[-1]

    def to_mark(self) -> list[Any]:
        """Pop everything above the last mark, and the mark."""
        position = len(self.stack) - 1
        while position >= 0 and self.stack[position] is not _MARK:
            position -= 1
        if position < 0:
            raise IndexError("no mark")
        values = self.stack[position + 1:]
        del self.stack[position:]
        return values

    def set_items(self, values: list[Any]) -> None:
        target = self.top()
        if len(values) % 2:
            raise IndexError("a key without a value")
        if isinstance(target, dict):
            for key, value in zip(values[::2], values[1::2]):
                if isinstance(key, _KEY_TYPES):
                    target[key] = value
            self.deepen(target, values)

    def nest(self, value: tuple) -> None:
        self.deepen(value, value)
        self.stack.append(value)

    def deepen(self, container: Any, values: Any) -> None:
        """Keep count of nesting, so that nothing that walks or frees the result can recurse far."""
        inner = max((self.depth.get(id(value), 0) for value in values if isinstance(value, (tuple, list, dict))), default=0)
        if inner >= _MAX_DEPTH:
            raise CheckpointError(f"{self.where}: its pickle nests containers more than {_MAX_DEPTH} deep; refused")
        if id(container) not in self.depth:
            self.kept.append(container)
        self.depth[id(container)] = max(self.depth.get(id(container), 1), inner + 1)

    def find(self, qualified: str) -> Any:
        if qualified in self.allowed:
            return Global(qualified, self.allowed[qualified])
        return Stub(qualified[:200])

    def call(self, function: Any, arguments: Any) -> None:
        if isinstance(function, Global) and function.build is not None and isinstance(arguments, tuple):
            self.stack.append(function.build(*arguments))
        else:
            self.stack.append(Stub(getattr(function, "name", "?")))
