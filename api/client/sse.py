"""Server-sent events: bytes in pieces of any size, whole frames out."""

import codecs
from collections.abc import Iterator

from msgspec import Struct


class Frame(Struct, frozen=True, kw_only=True):
    """One dispatched event; `id` is None when this very frame named none."""

    id: str | None
    event: str
    data: str


class FrameParser:
    """Cuts a stream into frames, by the rules of the HTML standard.

    A frame ends with an empty line; an unfinished one at the end of the stream is never given out.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._unfinished = ""
        self._id: str | None = None
        self._event = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Yield the frames that this piece completes."""
        for line in self._lines(self._decoder.decode(piece)):
            if line:
                self._field(line)
            elif frame := self._dispatch():
                yield frame

    def _lines(self, text: str) -> list[str]:
        """Return the lines that are whole now; LF, CR and CRLF all end one."""
        text = self._unfinished + text
        # A CR at the end may be the first half of a CRLF: wait for what follows.
        held = "\r" if text.endswith("\r") else ""
        text = text.removesuffix(held) if held else text
        *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._unfinished = rest + held
        return lines

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value

    def _dispatch(self) -> Frame | None:
        frame = Frame(id=self._id, event=self._event or "message", data="\n".join(self._data))
        has_data = bool(self._data)
        self._id, self._event, self._data = None, "", []
        return frame if has_data else None
