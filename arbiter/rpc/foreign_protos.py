"""The protos of gRPC's own health and reflection services, as descriptors and message classes.

They live in a pool of their own: whoever loads an official package for them into this process meets no duplicate symbol, and no
generated package called `grpc` hides grpcio's. Source: grpc/health/v1/health.proto, grpc/reflection/v1/reflection.proto and its
v1alpha twin in the repository grpc/grpc-proto; a test compares with the official packages.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

HEALTH = "grpc.health.v1"
REFLECTION_VERSIONS = ("grpc.reflection.v1", "grpc.reflection.v1alpha")
"""Newer clients ask by the first and fall back to the second; others know the second alone."""

_SCALARS = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "enum": FieldDescriptorProto.TYPE_ENUM,
}
_POOL = DescriptorPool()


def message_class(full_name: str) -> Any:
    """The class of a message of these protos. Raises KeyError."""
    return GetMessageClass(_POOL.FindMessageTypeByName(full_name))


def _health() -> FileDescriptorProto:
    file = FileDescriptorProto(name="grpc/health/v1/health.proto", package=HEALTH, syntax="proto3")
    _add_message(file, "HealthCheckRequest", "string service 1")
    answer = _add_message(file, "HealthCheckResponse")
    _add_field(answer, file.package, "enum status 1 HealthCheckResponse.ServingStatus")
    statuses = answer.enum_type.add(name="ServingStatus")
    for number, name in enumerate(("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")):
        statuses.value.add(name=name, number=number)
    _add_message(file, "HealthListRequest")
    listed = _add_message(file, "HealthListResponse", "repeated HealthListResponse.StatusesEntry statuses 1")
    entry = listed.nested_type.add(name="StatusesEntry")
    entry.options.map_entry = True
    _add_field(entry, file.package, "string key 1")
    _add_field(entry, file.package, "HealthCheckResponse value 2")
    _add_service(file, "Health", "Check HealthCheckRequest HealthCheckResponse", "List HealthListRequest HealthListResponse")
    _add_service(file, "Health", "Watch HealthCheckRequest HealthCheckResponse", answers=True)
    return file


def _reflection(package: str) -> FileDescriptorProto:
    file = FileDescriptorProto(name=f"{package.replace('.', '/')}/reflection.proto", package=package, syntax="proto3")
    asked = _add_message(file, "ServerReflectionRequest", "string host 1")
    _add_oneof(
        *(asked, package, "message_request"),
        *("string file_by_filename 3", "string file_containing_symbol 4", "ExtensionRequest file_containing_extension 5"),
        *("string all_extension_numbers_of_type 6", "string list_services 7"),
    )
    _add_message(file, "ExtensionRequest", "string containing_type 1", "int32 extension_number 2")
    answer = _add_message(file, "ServerReflectionResponse", "string valid_host 1", "ServerReflectionRequest original_request 2")
    _add_oneof(
        *(answer, package, "message_response", "FileDescriptorResponse file_descriptor_response 4"),
        *("ExtensionNumberResponse all_extension_numbers_response 5", "ListServiceResponse list_services_response 6"),
        "ErrorResponse error_response 7",
    )
    _add_message(file, "FileDescriptorResponse", "repeated bytes file_descriptor_proto 1")
    _add_message(file, "ExtensionNumberResponse", "string base_type_name 1", "repeated int32 extension_number 2")
    _add_message(file, "ListServiceResponse", "repeated ServiceResponse service 1")
    _add_message(file, "ServiceResponse", "string name 1")
    _add_message(file, "ErrorResponse", "int32 error_code 1", "string error_message 2")
    method = "ServerReflectionInfo ServerReflectionRequest ServerReflectionResponse"
    _add_service(file, "ServerReflection", method, asks=True, answers=True)
    return file


def _add_message(file: FileDescriptorProto, name: str, *fields: str) -> DescriptorProto:
    message = file.message_type.add(name=name)
    for field in fields:
        _add_field(message, file.package, field)
    return message


def _add_field(message: DescriptorProto, package: str, text: str) -> FieldDescriptorProto:
    """`text` is `[repeated] TYPE NAME NUMBER`, with an enum's type behind that."""
    *repeated, kind, name, number = (text.rpartition(" ")[0] if text.startswith("enum ") else text).split()
    field = message.field.add(name=name, number=int(number))
    field.label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
    field.type = _SCALARS.get(kind, FieldDescriptorProto.TYPE_MESSAGE)
    if kind == "enum" or kind not in _SCALARS:
        field.type_name = f".{package}.{text.rpartition(' ')[2] if kind == 'enum' else kind}"
    return field


def _add_oneof(message: DescriptorProto, package: str, name: str, *fields: str) -> None:
    message.oneof_decl.add(name=name)
    for text in fields:
        _add_field(message, package, text).oneof_index = len(message.oneof_decl) - 1


def _add_service(file: FileDescriptorProto, name: str, *methods: str, asks: bool = False, answers: bool = False) -> None:
    """`methods` are `NAME REQUEST RESPONSE`; `asks` and `answers` say which sides stream. Adds to a service that is there."""
    service = next((each for each in file.service if each.name == name), None) or file.service.add(name=name)
    for method, asked, answer in (text.split() for text in methods):
        added = service.method.add(name=method, input_type=f".{file.package}.{asked}", output_type=f".{file.package}.{answer}")
        if asks:
            added.client_streaming = True
        if answers:
            added.server_streaming = True


for _file in (_health(), *map(_reflection, REFLECTION_VERSIONS)):
    _POOL.Add(_file)
