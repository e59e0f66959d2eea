"""grpc.reflection: what this server offers, for grpcurl and its like, in both versions of the protocol.

Only what the registered services lead to is told: their files and, transitively, what those import.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import trio
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from purerpc import Cardinality, RPCSignature, Service, Servicer
from purerpc.grpclib.status import StatusCode

from arbiter.errors import LimitExceeded
from arbiter.rpc.foreign_protos import REFLECTION_VERSIONS, message_class
from arbiter.rpc.request import Request
from arbiter.rpc.shares import Shares

MOST_STREAMS = 40
"""At once, over the network together, of each version: reflection needs no token. Those who prove who they are have as many besides."""
MOST_OF_ONE = 10
"""Of them, from one address. This machine itself has as many besides."""
MOST_OF_NETWORK = 20
"""Of them, from one network."""
MOST_REQUESTS = 1_000
"""A stream. Describing the whole API takes a few dozen."""
IDLE_SECONDS = 30.0
"""A stream that asks nothing for so long is ended, so that nobody can hold all of them."""
LONGEST_NAME = 300

METHOD = "ServerReflectionInfo"
SERVICES = tuple(f"{version}.ServerReflection" for version in REFLECTION_VERSIONS)


class Catalogue:
    """The services, and the files by their own names and by those of everything that they define."""

    def __init__(self, services: Iterable[Service]) -> None:
        self.services: list[str] = []
        self.files: dict[str, FileDescriptor] = {}
        self.described: dict[str, bytes] = {}
        """Each file as it is told."""
        self.symbols: dict[str, FileDescriptor] = {}
        self.messages: dict[str, Descriptor] = {}
        self.extensions: dict[str, dict[int, FileDescriptor]] = {}
        for service in services:
            self.add(service)

    def add(self, service: Service) -> None:
        """One more service."""
        method = next(iter(service.methods.values()), None)
        if method is None:
            return  # it has no descriptor to find, and nothing to call
        pool = method.signature.request_type.DESCRIPTOR.file.pool
        self.services.append(service.name)
        for file in with_imports(pool.FindServiceByName(service.name).file):
            if file.name not in self.files:
                self.files[file.name] = file
                self.described[file.name] = _described(file)
                self._add_symbols(file)

    def _add_symbols(self, file: FileDescriptor) -> None:
        for name in _symbols(file):
            self.symbols[name] = file
        for message in _messages(file.message_types_by_name.values()):
            self.messages[message.full_name] = message
            self._add_extensions(file, message.extensions)
        self._add_extensions(file, file.extensions_by_name.values())

    def _add_extensions(self, file: FileDescriptor, extensions: Iterable[Any]) -> None:
        for each in extensions:
            self.extensions.setdefault(each.containing_type.full_name, {})[each.number] = file
            self.symbols[each.full_name] = file


class ReflectionService(Servicer):  # type: ignore[misc]  # purerpc has no types
    """See grpc/reflection/v1/reflection.proto. One object a version (a package of REFLECTION_VERSIONS)."""

    def __init__(self, catalogue: Catalogue, version: str) -> None:
        self._catalogue = catalogue
        self._version = version
        self._request, self._response = (message_class(f"{version}.ServerReflection{side}") for side in ("Request", "Response"))
        self._shares = Shares("calls of reflection are open", most=MOST_STREAMS, of_one_address=MOST_OF_ONE, of_one_network=MOST_OF_NETWORK)

    async def ServerReflectionInfo(self, messages: AsyncIterator[Any], request: Request) -> AsyncIterator[Any]:
        """An answer for each message, in their order; what is not found is an answer too."""
        share = self._shares.take(request)
        try:
            for _ in range(MOST_REQUESTS):
                message = await _next(messages)
                if message is None:
                    return
                self._shares.require(share)
                yield self._answer(message)
            raise LimitExceeded(f"a call of reflection answers {MOST_REQUESTS} requests", 1000)
        finally:
            self._shares.give_back(request, share)

    def _answer(self, message: Any) -> Any:
        answer = self._response(valid_host=message.host[:LONGEST_NAME])
        kind = message.WhichOneof("message_request")
        asked: Any = getattr(message, kind) if kind else None
        if _too_long(message):  # nor is it sent back
            self._refuse(answer, StatusCode.INVALID_ARGUMENT, f"a name has at most {LONGEST_NAME} characters")
            return answer
        answer.original_request.CopyFrom(message)
        match kind:
            case "list_services":
                for name in sorted(self._catalogue.services):
                    answer.list_services_response.service.add(name=name)
            case "file_by_filename":
                self._give(answer, self._catalogue.files.get(asked), f"no file {asked!r}")
            case "file_containing_symbol":
                self._give(answer, self._catalogue.symbols.get(asked.removeprefix(".")), f"no symbol {asked!r}")
            case "file_containing_extension":
                found = self._catalogue.extensions.get(asked.containing_type, {}).get(asked.extension_number)
                self._give(answer, found, f"no extension {asked.extension_number} of {asked.containing_type!r}")
            case "all_extension_numbers_of_type" if asked in self._catalogue.messages:
                told = answer.all_extension_numbers_response
                told.base_type_name = asked
                told.extension_number.extend(sorted(self._catalogue.extensions.get(asked, {})))
            case "all_extension_numbers_of_type":
                self._refuse(answer, StatusCode.NOT_FOUND, f"no message {asked!r}")
            case _:
                self._refuse(answer, StatusCode.INVALID_ARGUMENT, "the request asks for nothing that is known here")
        return answer

    def _give(self, answer: Any, file: FileDescriptor | None, problem: str) -> None:
        if file is None:
            self._refuse(answer, StatusCode.NOT_FOUND, problem)
        else:
            answer.file_descriptor_response.file_descriptor_proto.extend(
                self._catalogue.described[each.name] for each in with_imports(file)
            )

    def _refuse(self, answer: Any, code: StatusCode, problem: str) -> None:
        answer.error_response.error_code, answer.error_response.error_message = code.value, problem

    @property
    def service(self) -> Service:
        service = Service(f"{self._version}.ServerReflection")
        service.add_method(METHOD, self.ServerReflectionInfo, RPCSignature(Cardinality.STREAM_STREAM, self._request, self._response))
        return service


def reflection_of(services: Sequence[Service]) -> list[Service]:
    """The reflection services of both versions, which tell of these services and of themselves."""
    catalogue = Catalogue(services)
    versions = [ReflectionService(catalogue, version).service for version in REFLECTION_VERSIONS]
    for each in versions:
        catalogue.add(each)
    return versions


def with_imports(file: FileDescriptor) -> list[FileDescriptor]:
    """The file first, then what it imports, directly or through others, each once and before what it imports itself."""
    found: dict[str, FileDescriptor] = {}

    def walk(each: FileDescriptor) -> None:
        if each.name not in found:
            for imported in each.dependencies:
                walk(imported)
            found[each.name] = each

    walk(file)
    return list(reversed(found.values()))


def _described(file: FileDescriptor) -> bytes:
    """The file as protoc describes it. What is kept of it here lacks the fields' names in JSON, by which tools such as grpcurl print."""
    told = FileDescriptorProto.FromString(file.serialized_pb)

    def name_fields(messages: Iterable[DescriptorProto], known: Mapping[str, Descriptor]) -> None:
        for message in messages:
            for field in message.field:
                field.json_name = known[message.name].fields_by_name[field.name].json_name
            name_fields(message.nested_type, known[message.name].nested_types_by_name)

    name_fields(told.message_type, file.message_types_by_name)
    return told.SerializeToString()


def _symbols(file: FileDescriptor) -> Iterator[str]:
    """The full name of everything that a file defines."""
    services: Iterable[ServiceDescriptor] = file.services_by_name.values()
    for service in services:
        yield service.full_name
        yield from (method.full_name for method in service.methods)
    yield from _enum_symbols(file.enum_types_by_name.values())
    for message in _messages(file.message_types_by_name.values()):
        yield message.full_name
        yield from (field.full_name for field in message.fields)
        yield from (oneof.full_name for oneof in message.oneofs)
        yield from _enum_symbols(message.enum_types)


def _enum_symbols(enums: Iterable[EnumDescriptor]) -> Iterator[str]:
    for enum in enums:
        yield enum.full_name
        scope = enum.full_name.rpartition(".")[0]
        yield from (f"{scope}.{value.name}" for value in enum.values)  # a value stands beside its enum, as in C++


def _messages(messages: Iterable[Descriptor]) -> Iterator[Descriptor]:
    for message in messages:
        yield message
        yield from _messages(message.nested_types)


def _too_long(message: Any) -> bool:
    extension = message.file_containing_extension.containing_type
    names = (message.file_by_filename, message.file_containing_symbol, message.all_extension_numbers_of_type, message.list_services)
    return any(len(name) > LONGEST_NAME for name in (message.host, extension, *names))


async def _next(messages: AsyncIterator[Any]) -> Any:
    """The next message; None at the end, and where none comes for too long."""
    with trio.move_on_after(IDLE_SECONDS):
        return await anext(messages, None)
    return None
