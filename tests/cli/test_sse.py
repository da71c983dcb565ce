from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.client.errors import ProtocolError
from api.client.sse import Frame, FrameParser
from api.client.stream import ledger_event
from tests.cli.scripted import frame

LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
PLAIN = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))
# A space after the colon belongs to the syntax, so a value is written behind one.
FRAMES = st.builds(
    Frame, id=st.none() | PLAIN, event=PLAIN.filter(bool), data=PLAIN | st.just("two\nlines")
)


def written(frames: Sequence[Frame], end: str) -> bytes:
    lines = []
    for one in frames:
        lines += [": a comment"] + ([] if one.id is None else [f"id: {one.id}"])
        lines += [f"event: {one.event}"]
        lines += [f"data: {line}" for line in one.data.split("\n")] + [""]
    return "".join(line + end for line in lines).encode()


def read(*pieces: bytes) -> list[Frame]:
    parser = FrameParser()
    return [one for piece in pieces for one in parser.feed(piece)]


@given(st.lists(FRAMES, max_size=4), LINE_ENDS, st.data())
def test_frames_come_out_the_same_however_the_bytes_are_cut(
    frames: list[Frame], end: str, data: st.DataObject
) -> None:
    text = written(frames, end)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    # A last CR may be half of a CRLF; the next line tells.
    assert read(*pieces, b":\n") == frames


def test_an_unfinished_frame_is_never_given_out() -> None:
    whole = frame(7).encode()
    for length in range(len(whole)):
        assert read(whole[:length]) == []


def test_comments_and_unknown_fields_are_passed_over() -> None:
    assert read(b": keep-alive\n\nretry: 10\nmood: good\n\n") == []


def test_a_frame_without_data_is_none() -> None:
    assert read(b"id: 4\nevent: task.updated\n\n") == []


def test_an_id_belongs_to_its_own_frame_only() -> None:
    first, second = read(b"id: 4\ndata: a\n\ndata: b\n\n")

    assert (first.id, second.id) == ("4", None)


def test_a_byte_order_mark_is_no_part_of_the_first_field() -> None:
    assert read(b"\xef\xbb\xbfdata: a\n\n") == [Frame(id=None, event="message", data="a")]


def test_a_ledger_frame_gives_its_sequence_and_item() -> None:
    [one] = read(frame(12, "task.created").encode())

    assert ledger_event(one) == (12, {"sequence": 12, "event_type": "task.created"})


def test_a_checkpoint_gives_its_sequence_and_no_item() -> None:
    checkpoint = Frame(id="9", event="checkpoint", data='{"sequence":9}')

    assert ledger_event(checkpoint) == (9, None)


@pytest.mark.parametrize(
    "bad",
    [
        Frame(id="x", event="task.created", data="{}"),
        Frame(id="-1", event="task.created", data="{}"),
        Frame(id="٣", event="task.created", data="{}"),
        Frame(id="1", event="task.created", data="{"),
        Frame(id="1", event="task.created", data="[]"),
        Frame(id="2", event="a", data='{"sequence":1,"type":"a","timeline":{}}'),
        Frame(id="1", event="b", data='{"sequence":1,"type":"a","timeline":{}}'),
        Frame(id="1", event="a", data='{"sequence":1,"type":"a"}'),
        Frame(id="1", event="checkpoint", data='{"sequence":2}'),
    ],
)
def test_a_malformed_ledger_frame_is_refused(bad: Frame) -> None:
    with pytest.raises(ProtocolError, match="stream frame"):
        ledger_event(bad)
