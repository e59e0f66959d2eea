"""`docs/api.md` from the protos and their comments: a section a service, then the types that several methods share.

A comment is Markdown already, up to three things: its lines are joined to paragraphs, a `|` in a table is escaped, and `<`,
where it is no code. A paragraph of a file's comment that begins with "Conventions of the whole API" goes to the top.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

INTRO = """\
# API reference

Generated from [proto/arbiter/v1](../proto/arbiter/v1) by `./just proto`, never edited. How to sign in, errors, streams and limits
are told in [grpc.md](grpc.md).
"""
CONVENTIONS = "Conventions of the whole API"
UNITS = {"_micros": "micros", "_unix_ms": "UTC ms", "_ms": "ms", "_us": "µs", "_seconds": "s"}
"""What a field's name says of its number; the first that fits."""

_SYNTAX, _MESSAGE, _ENUM, _SERVICE = (12,), 4, 5, 6
"""Where a comment belongs is told as a path of field numbers in descriptor.proto."""
_FIELD, _NESTED, _NESTED_ENUM, _VALUE, _METHOD = 2, 3, 4, 2, 2


class Named(NamedTuple):
    """A message, an enum, a service, or part of one, with its comment's paragraphs."""

    name: str
    node: Any
    about: tuple[str, ...]
    parts: tuple["Named", ...] = ()


def render(files: FileDescriptorSet) -> str:
    """The page."""
    return _Page(sorted(files.file, key=lambda file: file.name)).text()


class _Page:
    def __init__(self, files: list[FileDescriptorProto]) -> None:
        about = {file.name: _comments(file).get(_SYNTAX, ()) for file in files}
        self._conventions = [text for texts in about.values() for text in texts if text.startswith(CONVENTIONS)]
        self._services = [
            service._replace(about=(*(text for text in about[file.name] if text not in self._conventions), *service.about))
            for file in files
            for service in _services(file)
        ]
        self._messages = {name: message for file in files for name, message in _messages(file)}
        self._enums = {name: enum for file in files for name, enum in _enums(file)}
        self._shared = self._find_shared()
        self._anchors: dict[str, str] = {}

    def _find_shared(self) -> list[str]:
        """The messages with a section of their own: what fields hold, and no map's entry."""
        held = {field.node.type_name for message in self._messages.values() for field in message.parts}
        return sorted(name for name in held if name in self._messages and not self._messages[name].node.options.map_entry)

    def text(self) -> str:
        self._place_anchors()
        blocks = [INTRO, *self._conventions, self._contents()]
        for service in self._services:
            blocks += [f"## {service.name}", *service.about]
            if not service.parts:
                blocks.append("No methods yet.")
            for method in service.parts:
                blocks += self._method(method)
        blocks += ["## Types", "What the fields of several messages hold."]
        for name in self._shared:
            blocks += [f"### {self._messages[name].name}", *self._message(name)]
        blocks.append("## Enums")
        for enum in sorted(self._enums.values()):
            rows = [(f"`{value.name}`", str(value.node.number), _cell(value.about)) for value in enum.parts]
            blocks += [f"### {enum.name}", *enum.about, _table(("Value", "Number", ""), rows)]
        return "\n\n".join(block.strip("\n") for block in blocks) + "\n"

    def _place_anchors(self) -> None:
        """GitHub's anchors, in the order of the headings: a heading that comes again gets -1, -2 behind it."""
        seen: dict[str, int] = {}

        def place(key: str, heading: str) -> None:
            slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            again = seen.get(slug, 0)
            seen[slug] = again + 1
            self._anchors[key] = f"#{slug}-{again}" if again else f"#{slug}"

        place("", "API reference")
        for service in self._services:
            place(service.name, service.name)
            for method in service.parts:
                place(f"{service.name}/{method.name}", method.name)
        place("Types", "Types")
        for name in self._shared:
            place(name, self._messages[name].name)
        place("Enums", "Enums")
        for name, enum in sorted(self._enums.items(), key=lambda item: item[1]):
            place(name, enum.name)

    def _contents(self) -> str:
        def link(service: Named, method: Named) -> str:
            return f"[{method.name}]({self._anchors[f'{service.name}/{method.name}']})"

        rows = [
            (f"[{service.name}]({self._anchors[service.name]})", ", ".join(link(service, method) for method in service.parts))
            for service in self._services
        ]
        return _table(("Service", "Methods"), rows)

    def _method(self, method: Named) -> Iterator[str]:
        yield f"### {method.name}"
        yield from method.about
        node = method.node
        yield from self._side("Request" + ", a stream of" * node.client_streaming, node.input_type)
        yield from self._side("Response" + ", a stream of" * node.server_streaming, node.output_type)

    def _side(self, what: str, name: str) -> Iterator[str]:
        message = self._messages.get(name)
        if message is None or name in self._shared:
            yield f"**{what}** {self._link(name)}"
        elif not message.parts:
            yield f"**{what}** `{message.name}`, which is empty"
            yield from message.about
        else:
            yield f"**{what}** `{message.name}`"
            yield from self._message(name)

    def _message(self, name: str) -> Iterator[str]:
        message = self._messages[name]
        yield from message.about
        rows = [(f"`{field.name}`", self._type(field.node), _cell([*self._oneof(message, field), *field.about])) for field in message.parts]
        yield _table(("Field", "Type", ""), rows) if rows else "It is empty."

    def _type(self, field: FieldDescriptorProto) -> str:
        entry = self._messages.get(field.type_name)
        if entry is not None and entry.node.options.map_entry:
            key, value = entry.parts
            return f"map of {self._type(key.node)} to {self._type(value.node)}"
        plain = str(FieldDescriptorProto.Type.Name(field.type)).removeprefix("TYPE_").lower()
        shown = self._link(field.type_name) if field.type_name else f"`{plain}`"
        unit = next((unit for ending, unit in UNITS.items() if field.name.endswith(ending) and "int" in plain), "")
        listed = "repeated " if field.label == FieldDescriptorProto.LABEL_REPEATED else "optional " if field.proto3_optional else ""
        return f"{listed}{shown}{f', {unit}' if unit else ''}"

    def _oneof(self, message: Named, field: Named) -> Iterator[str]:
        if field.node.HasField("oneof_index") and not field.node.proto3_optional:
            yield f"One of `{message.node.oneof_decl[field.node.oneof_index].name}`."

    def _link(self, name: str) -> str:
        known = self._messages.get(name) or self._enums.get(name)
        return f"[{known.name}]({self._anchors[name]})" if known and name in self._anchors else f"`{name.lstrip('.')}`"


def _services(file: FileDescriptorProto) -> Iterator[Named]:
    said = _comments(file)
    for i, service in enumerate(file.service):
        methods = [Named(m.name, m, said.get((_SERVICE, i, _METHOD, j), ())) for j, m in enumerate(service.method)]
        yield Named(service.name, service, said.get((_SERVICE, i), ()), tuple(methods))


def _messages(file: FileDescriptorProto) -> Iterator[tuple[str, Named]]:
    """By full name with a leading dot, as fields refer to them; nested ones are called `Outer.Inner`."""
    said = _comments(file)

    def walk(outer: str, path: tuple[int, ...], messages: Iterable[Any]) -> Iterator[tuple[str, Named]]:
        for i, message in enumerate(messages):
            here, name = (*path, i), outer + message.name
            fields = [Named(f.name, f, said.get((*here, _FIELD, j), ())) for j, f in enumerate(message.field)]
            yield f".{file.package}.{name}", Named(name, message, said.get(here, ()), tuple(fields))
            yield from walk(f"{name}.", (*here, _NESTED), message.nested_type)

    yield from walk("", (_MESSAGE,), file.message_type)


def _enums(file: FileDescriptorProto) -> Iterator[tuple[str, Named]]:
    said = _comments(file)

    def read(outer: str, path: tuple[int, ...], enums: Iterable[Any]) -> Iterator[tuple[str, Named]]:
        for i, enum in enumerate(enums):
            values = [Named(v.name, v, said.get((*path, i, _VALUE, j), ())) for j, v in enumerate(enum.value)]
            yield f".{file.package}.{outer}{enum.name}", Named(outer + enum.name, enum, said.get((*path, i), ()), tuple(values))

    def walk(outer: str, path: tuple[int, ...], messages: Iterable[Any]) -> Iterator[tuple[str, Named]]:
        for i, message in enumerate(messages):
            yield from read(f"{outer}{message.name}.", (*path, i, _NESTED_ENUM), message.enum_type)
            yield from walk(f"{outer}{message.name}.", (*path, i, _NESTED), message.nested_type)

    yield from read("", (_ENUM,), file.enum_type)
    yield from walk("", (_MESSAGE,), file.message_type)


def _comments(file: FileDescriptorProto) -> dict[tuple[int, ...], tuple[str, ...]]:
    """Each commented thing's paragraphs, those before it first."""
    found = {}
    for place in file.source_code_info.location:
        texts = (*_paragraphs(place.leading_comments), *_paragraphs(place.trailing_comments))
        if texts:
            found[tuple(place.path)] = texts
    return found


def _paragraphs(comment: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", comment):
        if text := " ".join(line.strip() for line in block.splitlines()).strip():
            yield _outside_code(text)


def _outside_code(text: str) -> str:
    """With `<` escaped, which would begin a tag; inside of backticks it stands as it is."""
    return "".join(part if i % 2 else part.replace("<", "&lt;") for i, part in enumerate(re.split(r"(`[^`]*`)", text)))


def _cell(paragraphs: Iterable[str]) -> str:
    return " ".join(paragraphs).replace("|", "\\|")


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)
