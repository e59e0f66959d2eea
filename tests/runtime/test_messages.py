"""Every message type of the program can be encoded: it comes back from MessagePack as it was.

The types are found, not listed: every module under `arbiter` is imported, and every subclass of `Message` and `Request` counts, as does
the reply that a request names. For each field one value of each member of a union is made, several of a tuple, and the empty one.
"""

import dataclasses
import datetime
import enum
import importlib
import pkgutil
import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import trio

import arbiter
from arbiter.runtime import Message, Request

SCALARS: dict[Any, tuple[Any, ...]] = {
    bool: (True, False),
    int: (7, 0, -(2**62)),
    float: (0.25, -1e300),
    str: ("text ü €", ""),
    bytes: (b"\x00\xff", b""),
    type(None): (None,),
    datetime.datetime: (datetime.datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=datetime.UTC),),
}


def import_everything() -> None:
    for module in pkgutil.walk_packages(arbiter.__path__, "arbiter."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def subclasses(kind: type) -> Iterator[type]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def of_the_program(kind: type) -> list[type]:
    return sorted((each for each in subclasses(kind) if each.__module__.startswith("arbiter.")), key=lambda each: each.__qualname__)


import_everything()
MESSAGES = of_the_program(Message)
REQUESTS = of_the_program(Request)


def reply_of(request: type) -> Any:
    """What a request names as its reply."""
    (base,) = (each for each in request.__orig_bases__ if typing.get_origin(each) is Request)  # type: ignore[attr-defined]
    (reply,) = typing.get_args(base)
    if isinstance(reply, typing.ForwardRef):
        reply = getattr(importlib.import_module(request.__module__), reply.__forward_arg__)
    return reply


def values(annotation: Any) -> list[Any]:
    """A few values of this type, each as different from the others as the type allows. TypeError for a type that is not known here."""
    annotation = getattr(annotation, "__supertype__", annotation)  # a NewType
    if annotation in SCALARS:
        return list(SCALARS[annotation])
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return values(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return [value for each in arguments for value in values(each)]
    if origin is typing.Literal:
        return list(arguments)
    if origin in (tuple, list, frozenset, set):
        return sequences(origin, arguments)
    if origin is dict:
        return [dict(zip(values(arguments[0]), values(arguments[1]), strict=False)), {}]
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return list(annotation)
    if isinstance(annotation, type) and (dataclasses.is_dataclass(annotation) or issubclass(annotation, msgspec.Struct | tuple)):
        return records(annotation)
    raise TypeError(f"no value of {annotation!r} can be made here")


def sequences(origin: Any, arguments: tuple[Any, ...]) -> list[Any]:
    if origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
        each = [values(argument) for argument in arguments]
        return [tuple(of[n % len(of)] for of in each) for n in range(max(map(len, each), default=1))]
    return [origin(values(arguments[0])), origin(())]


def records(kind: Any) -> list[Any]:
    """So many that each value of each field stands in one."""
    fields = {name: values(hint) for name, hint in typing.get_type_hints(kind).items() if typing.get_origin(hint) is not typing.ClassVar}
    count = max(map(len, fields.values()), default=1)
    return [kind(**{name: of[n % len(of)] for name, of in fields.items()}) for n in range(count)]


def test_the_search_sees_the_messages_of_every_actor():
    modules = {each.__module__ for each in (*MESSAGES, *REQUESTS)}
    assert {"arbiter.actors.brake", "arbiter.actors.journal", "arbiter.actors.paper_desk", "arbiter.actors.user_session"} <= modules
    assert len(MESSAGES) >= 10
    assert len(REQUESTS) >= 20


@pytest.mark.parametrize("kind", [*MESSAGES, *REQUESTS], ids=lambda kind: kind.__name__)
def test_every_message_comes_back_from_messagepack_as_it_was(kind):
    made = records(kind)
    assert made
    for message in made:
        encoded = msgspec.msgpack.encode(message)
        back = msgspec.msgpack.decode(encoded, type=kind)
        assert back == message
        assert type(back) is kind
        assert msgspec.msgpack.decode(encoded)["type"] == kind.__name__


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda kind: kind.__name__)
def test_every_reply_that_a_request_names_comes_back_too(request_):
    reply = reply_of(request_)
    for value in values(reply):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=reply) == value


@pytest.mark.parametrize("kind", [*MESSAGES, *REQUESTS], ids=lambda kind: kind.__name__)
def test_every_message_is_frozen_and_tagged_by_its_own_name(kind):
    assert kind.__struct_config__.frozen
    assert kind.__struct_config__.tag == kind.__name__


def test_no_two_messages_have_the_same_tag():
    tags = [kind.__struct_config__.tag for kind in (*MESSAGES, *REQUESTS)]
    assert sorted(tags) == sorted(set(tags))


def test_a_type_of_which_no_value_can_be_made_is_told_and_not_skipped():
    for annotation in (typing.Callable[[], None], object, Any, trio.abc.SendChannel[int]):
        with pytest.raises(TypeError, match="can be made here"):
            values(annotation)
