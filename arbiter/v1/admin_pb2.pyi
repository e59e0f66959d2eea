from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListActorsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Actor(_message.Message):
    __slots__ = ("name", "state", "restarts", "last_error", "mailbox_depth", "handled", "busy_us", "longest_us", "conflated", "p99_us", "histogram")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    MAILBOX_DEPTH_FIELD_NUMBER: _ClassVar[int]
    HANDLED_FIELD_NUMBER: _ClassVar[int]
    BUSY_US_FIELD_NUMBER: _ClassVar[int]
    LONGEST_US_FIELD_NUMBER: _ClassVar[int]
    CONFLATED_FIELD_NUMBER: _ClassVar[int]
    P99_US_FIELD_NUMBER: _ClassVar[int]
    HISTOGRAM_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: str
    restarts: int
    last_error: str
    mailbox_depth: int
    handled: int
    busy_us: int
    longest_us: int
    conflated: int
    p99_us: int
    histogram: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., state: _Optional[str] = ..., restarts: _Optional[int] = ..., last_error: _Optional[str] = ..., mailbox_depth: _Optional[int] = ..., handled: _Optional[int] = ..., busy_us: _Optional[int] = ..., longest_us: _Optional[int] = ..., conflated: _Optional[int] = ..., p99_us: _Optional[int] = ..., histogram: _Optional[_Iterable[int]] = ...) -> None: ...

class ListActorsResponse(_message.Message):
    __slots__ = ("actors",)
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    actors: _containers.RepeatedCompositeFieldContainer[Actor]
    def __init__(self, actors: _Optional[_Iterable[_Union[Actor, _Mapping]]] = ...) -> None: ...
