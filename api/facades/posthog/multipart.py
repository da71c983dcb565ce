"""The file of a multipart form, as it comes in: nothing is kept but what cannot be sent on yet.

Source: RFC 7578; as with S3, the fields stand before the file and what is behind it is ignored.
"""

from collections.abc import AsyncIterator
from typing import Final

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.facades.posthog.errors import plain

_NAME: Final = "file"
_BAD_REQUEST: Final = 400


class _Parts:
    """Collects what a parser tells: the data of the file, and whether that is whole."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.whole = False
        self._field = b""
        self._value = b""
        self._in_file = False

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._field.lower() == b"content-disposition" and not self.whole:
            _, options = parse_options_header(self._value)
            self._in_file = options.get(b"name") == _NAME.encode()
        self._field = self._value = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self.data.append(data[start:end])

    def on_part_end(self) -> None:
        self.whole = self.whole or self._in_file
        self._in_file = False


async def file_of(
    chunks: AsyncIterator[bytes], content_type: str, most: int
) -> AsyncIterator[bytes]:
    """Yield the file of a form, which may have `most` bytes; raises RefusalError."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise plain(_BAD_REQUEST, "expected a multipart form")
    parts, size = _Parts(), 0
    parser = _parser(parts, boundary)
    async for chunk in chunks:
        try:
            parser.write(chunk)
        except MultipartParseError as error:
            raise plain(_BAD_REQUEST, f"the form is malformed: {error}") from error
        data, parts.data = b"".join(parts.data), []
        size += len(data)
        if size > most:
            raise plain(_BAD_REQUEST, f"the file is longer than the {most} bytes it was to have")
        if data:
            yield data
    if not parts.whole:
        raise plain(_BAD_REQUEST, f'the form has no whole "{_NAME}"')


def _parser(parts: _Parts, boundary: bytes) -> MultipartParser:
    try:
        return MultipartParser(
            boundary,
            {
                "on_header_field": parts.on_header_field,
                "on_header_value": parts.on_header_value,
                "on_header_end": parts.on_header_end,
                "on_part_data": parts.on_part_data,
                "on_part_end": parts.on_part_end,
            },
        )
    except (MultipartParseError, ValueError) as error:
        raise plain(_BAD_REQUEST, f"the form is malformed: {error}") from error
