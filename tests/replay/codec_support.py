"""A codec for tests, and strategies for everything it has to carry."""

from hashlib import sha256
from typing import Any, Literal, get_args, get_origin

import msgspec
from eventsourcing.persistence import JSONTranscoder
from hypothesis import strategies as st
from msgspec import Raw, Struct

from domain.events import FACTS, Fact
from domain.recorded import Recorded
from domain.values import NO_JSON, Blob
from replay.codec import LedgerMapper


def plain_mapper(**options: Any) -> LedgerMapper:
    """Return the mapper without compressor and cipher."""
    return LedgerMapper(JSONTranscoder(), **options)


JSON_TEXTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
).map(lambda value: Raw(msgspec.json.encode(_within_64_bits(value))))


def _within_64_bits(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int():
            return value % 2**63
        case list():
            return [_within_64_bits(item) for item in value]
        case dict():
            return {key: _within_64_bits(item) for key, item in value.items()}
        case _:
            return value


DIGESTS = st.binary(max_size=3).map(lambda text: sha256(text).hexdigest())


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for the values of a field."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Raw:
        return st.just(NO_JSON) | JSON_TEXTS
    if annotation is Blob:
        return st.builds(Blob, DIGESTS, st.integers(0, 2**63 - 1))
    if hasattr(annotation, "__metadata__") or annotation is int:
        return st.integers(-(2**63), 2**63 - 1)
    if annotation is float:
        return st.floats(0, 1)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        # Nothing is absent in a list.
        present = values_of(arguments[0]).filter(lambda value: value is not NO_JSON)
        return st.lists(present, max_size=3).map(tuple)
    if arguments:
        return st.one_of(*map(values_of, arguments))
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return structs_of(annotation)
    return st.from_type(annotation)


def structs_of(struct: type[Struct], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for a struct whose defaults are used now and then."""
    fields = msgspec.structs.fields(struct)
    required = {f.name: values_of(f.type) for f in fields if f.required and f.name not in given}
    optional = {f.name: values_of(f.type) for f in fields if not f.required}
    chosen = st.fixed_dictionaries(required | given, optional=optional)
    return chosen.map(lambda values: struct(**values))


def facts() -> st.SearchStrategy[Fact]:
    """Return a strategy for every fact there is."""
    return st.sampled_from(FACTS).flatmap(structs_of)


def events() -> st.SearchStrategy[Recorded]:
    """Return a strategy for events with every fact there is."""
    return structs_of(Recorded, fact=facts())
