"""A checkpoint's pickle read as data: a small machine of our own that knows how to build dicts, lists, strings, numbers
and what stands for a tensor, and nothing else. Python's pickle is not used, so nothing that a file asks for is run.
"""

import pickletools
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

ADVICE = (
    "if you trust the file, torch.load it where it was made, and keep its state_dict alone: "
    "safetensors.torch.save_file(state_dict, 'weights.safetensors')"
)


class Refused(ValueError):
    """A file asks for something that this reader does not build; nothing of it was run."""


class Damaged(ValueError):
    """A file is not what its name says, or not whole."""


class Call:
    """What stands for a function or class that a pickle names: a name, and what we do for it. Slots and a refusal to
    take state, so a pickle cannot leave anything in it."""

    __slots__ = ("make", "name")

    def __init__(self, name: str, make: Any):
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "make", make)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self.name} cannot be changed")


class Mark:
    """The beginning of a run of items on the stack."""


MARK = Mark()
VALUES = {  # opcodes that carry their value, read by pickletools
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT",
    "BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE", "UNICODE",
}  # fmt: skip
CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: MARK,
}
SILENT = ("PROTO", "FRAME")
KEYS = (str, int)


class Machine:
    """Runs one pickle.

    Args:
      calls: what may be named, ``{"collections.OrderedDict": function}``.
      storage: turns a persistent id into what stands for a storage.
      what: the file, for messages.
    """

    def __init__(self, calls: Mapping[str, Any], storage: Callable[[Any], Any], what: str):
        self.calls = {name: Call(name, make) for name, make in calls.items()}
        self.storage, self.what = storage, what
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, file: BytesIO) -> Any:
        """The value of the pickle at the file's position, which is left after it.

        Raises:
          Refused: it names, or does, what is not allowed.
          Damaged: it is no whole pickle.
        """
        try:
            for opcode, argument, place in pickletools.genops(file):
                if opcode.name == "STOP":
                    return self.pop()
                self.step(opcode.name, argument, place)
        except (Refused, Damaged):
            raise
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
            raise Damaged(f"{self.what} holds no readable pickle ({error})") from error
        raise Damaged(f"{self.what} holds a pickle that does not end")

    def step(self, name: str, argument: Any, place: int | None) -> None:
        if name in VALUES:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name]())
        elif name in SILENT:
            return
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[int(argument)] = self.top()
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.top()
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[int(argument)])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            self.stack.append(tuple(reversed([self.pop() for _ in range(count)])))
        elif name in ("TUPLE", "LIST", "DICT"):
            items = self.items()
            self.stack.append({"TUPLE": tuple, "LIST": list, "DICT": pairs}[name](items))
        elif name in ("APPEND", "APPENDS"):
            items = [self.pop()] if name == "APPEND" else self.items()
            self.top(list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [self.pop(), self.pop()][::-1] if name == "SETITEM" else self.items()
            self.top(dict).update(pairs(items))
        elif name == "GLOBAL":
            self.stack.append(self.named(str(argument).replace(" ", "."), place))
        elif name == "STACK_GLOBAL":
            attribute, module = self.pop(), self.pop()
            self.stack.append(self.named(f"{module}.{attribute}", place))
        elif name == "REDUCE":
            arguments, call = self.pop(), self.pop()
            if not isinstance(call, Call) or not callable(call.make) or not isinstance(arguments, tuple):
                raise Refused(f"{self.what} calls what is no function at byte {place}; nothing was run")
            self.stack.append(call.make(*arguments))
        elif name == "BUILD":  # PyTorch hangs metadata onto an OrderedDict
            self.pop()
            self.top(dict)
        elif name == "BINPERSID":
            self.stack.append(self.storage(self.pop()))
        else:
            raise Refused(f"{self.what} uses the pickle opcode {name} at byte {place}; nothing was run; {ADVICE}")

    def named(self, name: str, place: int | None) -> Call:
        if name not in self.calls:
            raise Refused(
                f"{self.what} asks for {name!r} at byte {place}; a checkpoint may hold tensors, parameters, dicts, "
                f"lists, strings and numbers, so this was refused and nothing was run; {ADVICE}"
            )
        return self.calls[name]

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is MARK:
            raise Damaged(f"{self.what} holds a pickle that takes what it never put down")
        return self.stack.pop()

    def top(self, kind: type = object) -> Any:
        found = self.pop()
        self.stack.append(found)
        if not isinstance(found, kind):
            raise Refused(f"{self.what} changes a {type(found).__name__} as if it were a {kind.__name__}")
        return found

    def items(self) -> list[Any]:
        """Everything back to the last mark, which goes too."""
        found: list[Any] = []
        while self.stack and self.stack[-1] is not MARK:
            found.append(self.stack.pop())
        if not self.stack:
            raise Damaged(f"{self.what} holds a pickle with a mark missing")
        self.stack.pop()
        return found[::-1]


def pairs(items: list[Any]) -> dict[Any, Any]:
    """[key, value, key, value] as a dict."""
    if len(items) % 2 or not all(isinstance(key, KEYS) for key in items[::2]):
        raise Damaged("a dict's keys must be strings or whole numbers, each with its value")
    return dict(zip(items[::2], items[1::2], strict=True))
