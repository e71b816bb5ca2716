"""The pickle of a dict of tensors, followed on plain values: nothing is imported, and nothing called."""

import math
import pickletools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

_PROTOCOL = 2  # of `torch.save`


class RefusedError(ValueError):
    """What a pickle asks for is not needed for tensors; the message goes on from "it is not read: "."""


@dataclass(frozen=True)
class Name:
    """A name that a pickle imports, which stays a text."""

    text: str


@dataclass(frozen=True)
class Storage:
    """Numbers that tensors are views of.

    Attributes:
        key: Its name in the file.
        dtype: Of its numbers.
        count: How many there are.
    """

    key: str
    dtype: "np.dtype[Any]"
    count: int


@dataclass(frozen=True)
class Stored:
    """A tensor: the numbers from an offset of a storage on, in order."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]


_DTYPES = {
    Name(f"torch {kind}Storage"): np.dtype(code)
    for kind, code in {"Float": "<f4", "Double": "<f8", "Half": "<f2", "Long": "<i8", "Int": "<i4"}.items()
}
_DICT = Name("collections OrderedDict")
_TENSORS = {Name("torch._utils _rebuild_tensor"), Name("torch._utils _rebuild_tensor_v2")}
_PARAMETERS = {Name("torch._utils _rebuild_parameter"), Name("torch.nn.parameter Parameter")}
_KNOWN = {_DICT, *_TENSORS, *_PARAMETERS, *_DTYPES}

_EMPTY: Mapping[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "BINSTRING", "SHORT_BINSTRING"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def walk(file: BinaryIO) -> Any:
    """What the pickle at a file's position describes: plain values, with a `Stored` for each tensor.

    Afterwards the file is at what follows the pickle.

    Raises:
        RefusedError: If it asks for anything that a dict of tensors does not need.
        ValueError, LookupError, TypeError: If it is damaged.
    """
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "STOP":
            (content,) = machine.stack
            return content
        machine.step(opcode.name, argument)
    raise ValueError("it has no end")


class _Machine:
    """The stack of a pickle.

    Attributes:
        stack: Values above the last mark.
        below: The stacks under the marks.
        memo: Values that are used again, by number.
    """

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Follow one opcode; any other than these is refused."""
        stack = self.stack
        match opcode:
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "MARK":
                self.below.append(stack)
                self.stack = []
            case "TUPLE":
                items = self._above_mark()
                self.stack.append(tuple(items))
            case "SETITEM" | "APPEND":
                items = self._taken(2 if opcode == "SETITEM" else 1)
                _fill(stack[-1], items, dict if opcode == "SETITEM" else list)
            case "SETITEMS" | "APPENDS":
                items = self._above_mark()
                _fill(self.stack[-1], items, dict if opcode == "SETITEMS" else list)
            case "GLOBAL":
                stack.append(_name(argument))
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "REDUCE" | "NEWOBJ":
                made, arguments = self._taken(2)
                stack.append(_made(made, arguments))
            case "BUILD":
                built, _ = self._taken(2)
                if not isinstance(built, (dict, Stored)):
                    raise RefusedError("its pickle sets the state of what is neither a dict nor a parameter")
                stack.append(built)  # whose state, such as versions of its modules, is not looked at
            case _ if opcode in _EMPTY:
                stack.append(_EMPTY[opcode]())
            case _ if opcode in _CONSTANTS:
                stack.append(_CONSTANTS[opcode])
            case _ if opcode in _VALUES:
                stack.append(argument)
            case _ if opcode in _TUPLES:
                stack.append(tuple(self._taken(_TUPLES[opcode])))
            case _ if opcode != "PROTO" or argument != _PROTOCOL:
                raise RefusedError(
                    f"its pickle uses {opcode}{f' {argument}' if opcode == 'PROTO' else ''}, which is not needed"
                )

    def _taken(self, count: int) -> list[Any]:
        """The uppermost values, in their order, no longer on the stack."""
        if len(self.stack) < count:
            raise ValueError("its pickle takes more from its stack than there is")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def _above_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items


def _fill(target: Any, items: Sequence[Any], kind: type) -> None:
    """Put items into a list, or keys and values in turn into a dict."""
    if kind.__name__ != type(target).__name__:
        raise RefusedError(f"its pickle fills a {type(target).__name__} as if it were a {kind.__name__}")
    if kind is list:
        target.extend(items)
    else:
        target.update(zip(map(_text, items[::2]), items[1::2], strict=True))


def _text(key: Any) -> str:
    """A key of a dict. Nothing else is taken: to look up a tuple of tuples can take forever."""
    if not isinstance(key, str):
        raise RefusedError(f"its pickle has a dict whose keys are not text but {type(key).__name__}")
    return key


def _name(argument: str) -> Name:
    if Name(argument) not in _KNOWN:
        raise RefusedError(f"its pickle imports {'.'.join(argument.split())}, which tensors do not need")
    return Name(argument)


def _storage(told: Any) -> Storage:
    """A storage from what the file says of it: the word, its type, key, device, count, and a part of it or nothing."""
    match told:
        case ("storage", Name() as kind, str(key), str(), int(count), *part) if kind in _DTYPES and count >= 0:
            if part not in ([], [None]):
                raise RefusedError("it holds a view of another storage")
            return Storage(key, _DTYPES[kind], count)
    raise RefusedError("its pickle refers to something outside that is no storage of numbers")


def _made(made: Any, arguments: Any) -> Any:
    """What would be called with these arguments: a dict, a tensor, or a parameter, which is its tensor."""
    match made, arguments:
        case Name() as name, ():
            if name == _DICT:
                return {}
        case Name() as name, ([*pairs],) if name == _DICT:  # as Python 2 wrote them
            found: dict[str, Any] = {}
            for pair in pairs:
                _fill(found, pair, dict)
            return found
        case Name() as name, (Stored() as tensor, *_) if name in _PARAMETERS:
            return tensor
        case Name() as name, (Storage() as storage, int(offset), tuple(shape), tuple(strides), *_) if name in _TENSORS:
            return _tensor(storage, offset, shape, strides)
    raise RefusedError("its pickle calls something that makes neither a dict nor a tensor")


def _tensor(storage: Storage, offset: int, shape: tuple[Any, ...], strides: tuple[Any, ...]) -> Stored:
    if not all(type(size) is int and size >= 0 for size in (offset, *shape, *strides)) or len(shape) != len(strides):
        raise RefusedError("it has a tensor whose sizes are no whole numbers from 0")
    after = [math.prod(shape[place + 1 :]) for place in range(len(shape))]
    if any(stride != step for size, stride, step in zip(shape, strides, after, strict=True) if size > 1):
        raise RefusedError("it has a tensor whose numbers are not in order")
    if offset + math.prod(shape) > storage.count:
        raise RefusedError("it has a tensor that is larger than its numbers")
    return Stored(storage, offset, shape)
