"""The messages as bytes, both as proto3 JSON and in the binary form, by the protobuf library.

The library is told of the messages when this module is imported, which takes its time: do so with
the first request.
"""

from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin
from typing import get_type_hints as hints_of

import msgspec
from google.protobuf import timestamp_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import Error as JsonError
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from msgspec import Struct
from msgspec.structs import fields

from api.facades.ona.messages import Message, Request
from api.undecodable import explained
from domain.errors import ValidationError

R = TypeVar("R", bound=Request)

_PACKAGE: Final = "ledger.ona"
_TIMESTAMP: Final = "google.protobuf.Timestamp"
_SCALARS: Final[dict[Any, Any]] = {
    str: FieldDescriptorProto.TYPE_STRING,
    bool: FieldDescriptorProto.TYPE_BOOL,
    int: FieldDescriptorProto.TYPE_INT32,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
}


class _Description:
    """The description of the messages that some types stand for."""

    def __init__(self) -> None:
        self.file = FileDescriptorProto(name="ona.proto", package=_PACKAGE, syntax="proto3")
        self.file.dependency.append(timestamp_pb2.DESCRIPTOR.name)
        self._known: set[str] = set()

    def add(self, kind: type[Struct]) -> str:
        """Describe a message and those in it; return its full name."""
        name = kind.__name__
        if name not in self._known:
            self._known.add(name)
            message = DescriptorProto(name=name)
            hints = hints_of(kind, include_extras=True)
            numbers: tuple[int, ...] = kind.NUMBERS  # type: ignore[attr-defined]
            for field, number in zip(fields(kind), numbers, strict=True):
                added = message.field.add(name=field.name, number=number)
                added.json_name = field.encode_name
                added.label = FieldDescriptorProto.LABEL_OPTIONAL
                self._describe(added, hints[field.name], message)
            self.file.message_type.append(message)
        return f".{_PACKAGE}.{name}"

    def _describe(self, field: FieldDescriptorProto, hint: Any, message: DescriptorProto) -> None:
        origin, arguments = get_origin(hint), get_args(hint)
        if origin in {Union, UnionType}:
            (inner,) = (each for each in arguments if each is not NoneType)
            self._describe(field, inner, message)
            if field.type != FieldDescriptorProto.TYPE_MESSAGE:
                field.proto3_optional = True
                field.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field.name}")
        elif origin in {tuple, dict}:
            field.label = FieldDescriptorProto.LABEL_REPEATED
            if origin is tuple:
                self._describe(field, arguments[0], message)
            else:
                self._describe_map(field, message)
        elif origin is Annotated:
            known = (arguments[1].extra_json_schema or {}).get("format")
            if known == "date-time":
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_TIMESTAMP}"
            else:
                field.type = _SCALARS.get(known, _SCALARS[str])
        elif origin is Literal:
            field.type, field.type_name = FieldDescriptorProto.TYPE_ENUM, self._enum(arguments)
        elif hint in _SCALARS:
            field.type = _SCALARS[hint]
        else:
            field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, self.add(hint)

    def _describe_map(self, field: FieldDescriptorProto, message: DescriptorProto) -> None:
        """Describe texts by texts: on the wire a list of entries."""
        entry = message.nested_type.add(name=f"{field.name.capitalize()}Entry")
        entry.options.map_entry = True
        for number, name in enumerate(("key", "value"), 1):
            entry.field.add(
                name=name,
                number=number,
                type=FieldDescriptorProto.TYPE_STRING,
                label=FieldDescriptorProto.LABEL_OPTIONAL,
            )
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{message.name}.{entry.name}"

    def _enum(self, values: tuple[str, ...]) -> str:
        name = values[0].removesuffix("_UNSPECIFIED").title().replace("_", "")
        if name not in self._known:
            self._known.add(name)
            enum = EnumDescriptorProto(name=name)
            for number, value in enumerate(values):
                enum.value.add(name=value, number=number)
            self.file.enum_type.append(enum)
        return f".{_PACKAGE}.{name}"


def _all(base: type[Struct]) -> list[type[Struct]]:
    return [each for each in base.__subclasses__() if each.__module__ == base.__module__]


def _described() -> dict[type[Struct], Any]:
    """Return the library's class of each message."""
    description = _Description()
    names = {kind: description.add(kind) for base in (Message, Request) for kind in _all(base)}
    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(description.file)
    return {
        kind: GetMessageClass(pool.FindMessageTypeByName(name[1:])) for kind, name in names.items()
    }


_CLASSES: Final = _described()


def read(kind: type[R], sent: bytes, *, binary: bool) -> R:
    """Return the message that was sent; raises ValidationError for anything else."""
    message = _CLASSES[kind]()
    try:
        if binary:
            message.ParseFromString(sent)
        else:
            ParseDict(_without_unknown(_decoded(sent), message.DESCRIPTOR), message)
        return msgspec.convert(MessageToDict(message), kind)
    except RecursionError:
        raise ValidationError("the message is nested too deeply") from None
    except (DecodeError, JsonError, msgspec.MsgspecError, ValueError, TypeError) as error:
        raise ValidationError(f"the message cannot be read: {error}") from None


def _decoded(sent: bytes) -> dict[str, Any]:
    if not sent.strip():
        return {}
    try:
        return msgspec.json.decode(sent, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(explained(error, sent)) from None


def _without_unknown(value: Any, descriptor: Descriptor) -> Any:
    """Return the JSON without members the message does not have, which are to be ignored.

    The library could ignore them, but would then ignore unknown members of enumerations as well.
    It takes an empty list for an empty object, which here raises ValueError.
    """
    if not isinstance(value, dict):
        return value
    known = {}
    for name, member in value.items():
        field = descriptor.fields_by_camelcase_name.get(name) or descriptor.fields_by_name.get(name)
        inner = field.message_type if field is not None else None
        if field is None:
            continue
        if inner is None or inner.GetOptions().map_entry:
            known[name] = member
        elif isinstance(member, list):
            if not field.is_repeated:
                raise ValueError(f"{name} must be an object, not a list")
            known[name] = [_without_unknown(each, inner) for each in member]
        else:
            known[name] = _without_unknown(member, inner)
    return known


def written(reply: Message) -> bytes:
    """Return the binary form of a message."""
    made: bytes = ParseDict(msgspec.to_builtins(reply), _CLASSES[type(reply)]()).SerializeToString()
    return made
