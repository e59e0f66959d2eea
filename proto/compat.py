"""Which changes of the protos break clients that were built before: old and new descriptor sets compared, nothing written.

Additions never break. Everything that is gone, or means something else, does: also a rename, which the wire would bear but not
the code that was generated from the old name, nor JSON.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet

HEADER = "# The API as clients know it, generated from proto/ and never edited: ./just proto adds to it, and refuses what breaks it.\n"

Field = FieldDescriptorProto


def dump(files: FileDescriptorSet) -> str:
    """The set as text that diffs well: without comments and without what follows from the rest."""
    bare = FileDescriptorSet()
    for file in sorted(files.file, key=lambda each: each.name):
        kept = bare.file.add()
        kept.CopyFrom(file)
        kept.ClearField("source_code_info")
        for _, message in _messages("", kept.message_type):
            for field in message.field:
                if field.json_name == _json_name(field.name):
                    field.ClearField("json_name")
    return HEADER + text_format.MessageToString(bare)


def load(text: str) -> FileDescriptorSet:
    """What `dump` wrote. Raises ValueError for anything else."""
    try:
        return text_format.Parse(text, FileDescriptorSet())
    except text_format.ParseError as error:
        raise ValueError(f"not a descriptor set: {error}") from None


def breaks(old: FileDescriptorSet, new: FileDescriptorSet) -> list[str]:
    """One line for each thing that a client built from `old` would miss in `new`."""
    return [*_broken_messages(old, new), *_broken_enums(old, new), *_broken_services(old, new)]


def _broken_messages(old: FileDescriptorSet, new: FileDescriptorSet) -> Iterator[str]:
    now = dict(_all_messages(new))
    for name, message in _all_messages(old):
        if name not in now:
            yield f"message {name} is gone"
            continue
        fields = {field.number: field for field in now[name].field}
        numbers = {field.name: field.number for field in now[name].field}
        for field in message.field:
            yield from _broken_field(name, message, field, now[name], fields.get(field.number), numbers.get(field.name))
        yield from _freed(f"message {name}", message, now[name], last=-1)


def _broken_field(
    owner: str, message: DescriptorProto, field: Field, now_message: DescriptorProto, now: Field | None, number: int | None
) -> Iterator[str]:
    said = f"field {owner}.{field.name} (number {field.number})"
    if number is not None and number != field.number:
        yield f"{said} has number {number} now"
    elif now is None:
        yield f"{said} is gone"
    elif now.name != field.name:
        yield f"{said} is called {now.name} now"
    else:
        for was, is_now in (
            (_type(field), _type(now)),
            (_presence(message, field), _presence(now_message, now)),
            (field.json_name or _json_name(field.name), now.json_name or _json_name(now.name)),
        ):
            if was != is_now:
                yield f"{said} was {was}, is {is_now} now"


def _broken_enums(old: FileDescriptorSet, new: FileDescriptorSet) -> Iterator[str]:
    now = dict(_all_enums(new))
    for name, enum in _all_enums(old):
        if name not in now:
            yield f"enum {name} is gone"
            continue
        numbers = {value.name: value.number for value in now[name].value}
        names = {value.number: value.name for value in now[name].value}
        for value in enum.value:
            said = f"value {name}.{value.name} (number {value.number})"
            if value.name in numbers:
                if numbers[value.name] != value.number:
                    yield f"{said} has number {numbers[value.name]} now"
            elif value.number in names:
                yield f"{said} is called {names[value.number]} now"
            else:
                yield f"{said} is gone"
        yield from _freed(f"enum {name}", enum, now[name], last=0)


def _freed(said: str, old: Any, new: Any, *, last: int) -> Iterator[str]:
    """Numbers and names of removed parts, which must stay reserved. `last`: what to add to a range's end to include it."""
    ranges = [range(each.start, each.end + last + 1) for each in new.reserved_range]
    for each in old.reserved_range:
        if not any(each.start in kept and each.end + last in kept for kept in ranges):
            yield f"{said}: the numbers {each.start} to {each.end + last} are not reserved any more"
    yield from (f"{said}: the name {name} is not reserved any more" for name in old.reserved_name if name not in new.reserved_name)


def _broken_services(old: FileDescriptorSet, new: FileDescriptorSet) -> Iterator[str]:
    now = {f"{file.package}.{service.name}": service for file in new.file for service in file.service}
    for file in old.file:
        for service in file.service:
            name = f"{file.package}.{service.name}"
            if name not in now:
                yield f"service {name} is gone"
                continue
            methods = {method.name: method for method in now[name].method}
            for method in service.method:
                if method.name not in methods:
                    yield f"method {name}.{method.name} is gone"
                elif _signature(method) != _signature(methods[method.name]):
                    yield f"method {name}.{method.name} was {_signature(method)}, is {_signature(methods[method.name])} now"


def _signature(method: Any) -> str:
    given = "stream " * method.client_streaming + method.input_type.lstrip(".")
    return f"({given}) returns ({'stream ' * method.server_streaming}{method.output_type.lstrip('.')})"


def _type(field: Field) -> str:
    return field.type_name.lstrip(".") or str(Field.Type.Name(field.type)).removeprefix("TYPE_").lower()


def _presence(message: DescriptorProto, field: Field) -> str:
    """repeated, optional, part of a oneof, or plain."""
    if field.label == Field.LABEL_REPEATED:
        return "repeated"
    if field.proto3_optional:
        return "optional"
    return f"in oneof {message.oneof_decl[field.oneof_index].name}" if field.HasField("oneof_index") else "neither repeated nor optional"


def _json_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _all_messages(files: FileDescriptorSet) -> Iterator[tuple[str, DescriptorProto]]:
    for file in files.file:
        yield from _messages(file.package + ".", file.message_type)


def _messages(prefix: str, messages: Iterable[DescriptorProto]) -> Iterator[tuple[str, DescriptorProto]]:
    for message in messages:
        yield prefix + message.name, message
        yield from _messages(f"{prefix}{message.name}.", message.nested_type)


def _all_enums(files: FileDescriptorSet) -> Iterator[tuple[str, EnumDescriptorProto]]:
    for file in files.file:
        yield from ((f"{file.package}.{enum.name}", enum) for enum in file.enum_type)
    for name, message in _all_messages(files):
        yield from ((f"{name}.{enum.name}", enum) for enum in message.enum_type)
