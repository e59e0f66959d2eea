"""Which messages an actor understands: taken from the union in its class, and checked where one is sent.

A type checker sees what is told, but not that a request is told, nor that one is asked which the actor does not know.
"""

from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from arbiter.runtime.message import Message, Request


class Vocabulary:
    """Message types, by what may be told and what may be asked."""

    __slots__ = ("_asked", "_told", "asked", "told")

    def __init__(self, kinds: tuple[type, ...]) -> None:
        self._told = tuple(kind for kind in kinds if issubclass(kind, Message))
        self._asked = tuple(kind for kind in kinds if issubclass(kind, Request))
        self.told: set[type] = set()
        """Types that were found fit to be told: looking one up costs half of what isinstance does."""
        self.asked: set[type] = set()

    def require_told(self, message: object, name: str) -> None:
        """Raises TypeError for what `name` cannot be told; a request would never be answered."""
        if message.__class__ in self.told:
            return
        if isinstance(message, Request):
            raise TypeError(f"{_named(message)} is a request: ask it")
        if not isinstance(message, Message):
            raise TypeError(f"{message!r} is no arbiter.runtime.Message")
        if not isinstance(message, self._told):
            raise TypeError(f"{_named(message)} is nothing that {name} understands; it is told {_list(self._told)}")
        self.told.add(message.__class__)

    def require_asked(self, request: object, name: str) -> None:
        """Raises TypeError for what `name` cannot be asked."""
        if request.__class__ in self.asked:
            return
        if isinstance(request, Message):
            raise TypeError(f"{_named(request)} is a message without a reply: tell or offer it")
        if not isinstance(request, Request):
            raise TypeError(f"{request!r} is no arbiter.runtime.Request")
        if not isinstance(request, self._asked):
            raise TypeError(f"{_named(request)} is nothing that {name} understands; it is asked {_list(self._asked)}")
        self.asked.add(request.__class__)


ANYTHING = Vocabulary((Message, Request))
"""Of an actor whose class does not say: a test's, mostly."""


def vocabulary_of(cls: type, root: type) -> Vocabulary | None:
    """What `class Counter(Actor[Add | Get])` says; None where it says nothing of its own. `root` is Actor."""
    for base in vars(cls).get("__orig_bases__", ()):
        if get_origin(base) is root:
            kinds = _kinds(get_args(base)[0])
            return ANYTHING if kinds is None else Vocabulary(kinds)
    return None


def _kinds(said: Any) -> tuple[type, ...] | None:
    """The classes of a union; None where it holds anything else, as Any or a name that is no class yet."""
    if isinstance(said, TypeVar):
        return None
    if get_origin(said) in (Union, UnionType):
        each = [_kinds(part) for part in get_args(said)]
        return None if None in each else tuple(kind for kinds in each if kinds for kind in kinds)
    kind = get_origin(said) or said
    return (kind,) if isinstance(kind, type) and issubclass(kind, Message | Request) else None


def _named(message: object) -> str:
    return type(message).__name__


def _list(kinds: tuple[type, ...]) -> str:
    return ", ".join(kind.__name__ for kind in kinds) or "nothing"
