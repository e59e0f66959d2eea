"""Which messages an actor understands: taken from the union in its class, and checked where one is sent.

A type checker sees what is told, but not that a request is told, nor that one is asked which the actor does not know.
"""

from types import UnionType
from typing import Any, Never, NoReturn, TypeVar, Union, get_args, get_origin

from arbiter.runtime.message import Message, Request


def _require_frozen(kind: type) -> None:
    """Whoever sends a message and whoever gets it have the same one."""
    if not kind.__struct_config__.frozen:  # type: ignore[attr-defined]  # a Struct's
        raise TypeError(f"{kind.__name__} can be changed after it was sent: a message's class says frozen=True")


class Vocabulary:
    """Message types, by what may be told and what may be asked."""

    __slots__ = ("_asked", "_told", "asked", "told")

    def __init__(self, kinds: tuple[type, ...]) -> None:
        for kind in kinds:
            _require_frozen(kind)
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
        _require_frozen(message.__class__)
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
        _require_frozen(request.__class__)
        self.asked.add(request.__class__)


ANYTHING = Vocabulary((Message, Request))
"""Of an actor whose class does not say: a test's, mostly."""


def vocabulary_of(cls: type, root: type) -> Vocabulary | None:
    """What `class Counter(Actor[Add | Get])` says, or `class Counter(Base[Add])` of a base that is generic in its messages; None
    where it says nothing of its own. `root` is Actor.
    """
    if not any(_is_a(get_origin(base), root) for base in vars(cls).get("__orig_bases__", ())):
        return None
    kinds = _kinds(_said(cls, root))
    return ANYTHING if kinds is None else Vocabulary(kinds)


def _said(cls: type, root: type) -> Any:
    """The parameter of Actor as this class has it, which may hold parameters of the class itself; Any where there is none."""
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        kind = get_origin(base) or base
        if kind is root:
            return get_args(base)[0] if get_args(base) else Any
        if not _is_a(kind, root):
            continue
        said = _said(kind, root)
        given: dict[Any, Any] = dict(zip(getattr(kind, "__parameters__", ()), get_args(base), strict=False))
        if isinstance(said, TypeVar):
            return given.get(said, said)
        open_ones = getattr(said, "__parameters__", ())
        return said[tuple(given.get(each, each) for each in open_ones)] if open_ones else said
    return Any


def _is_a(kind: object, root: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, root)


def _kinds(said: Any) -> tuple[type, ...] | None:
    """The classes of a union; none of Never; None where it holds anything else, as Any or a name that is no class yet."""
    if said in (Never, NoReturn):
        return ()
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
