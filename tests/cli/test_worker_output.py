import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.worker.output import RESULT_BYTES, Outcome, Tail, ending_of, error_of, result_of, shortened


def printed(text: str, *, cut: bool = False) -> Outcome:
    return Outcome(exit_code=0, stdout=text, stdout_cut=cut)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('{"files": 3}\n', {"files": 3}),
        (" [1, 2] ", [1, 2]),
        ("42\n", 42),
        ("null", None),
        ("built 3 files\n", {"output": "built 3 files\n", "truncated": False}),
        ("", {"output": "", "truncated": False}),
        ("NaN", {"output": "NaN", "truncated": False}),
    ],
)
def test_a_result_is_the_json_that_was_printed_or_else_the_text(text: str, result: object) -> None:
    assert result_of(printed(text)) == result


def test_long_text_keeps_its_end_and_says_so() -> None:
    result = result_of(printed("a" * RESULT_BYTES + "the end"))

    assert result["truncated"] is True
    assert result["output"].endswith("athe end")
    assert RESULT_BYTES - 20 < len(msgspec.json.encode(result)) <= RESULT_BYTES


def test_json_over_the_limit_is_kept_as_text() -> None:
    result = result_of(printed(msgspec.json.encode(["x" * RESULT_BYTES]).decode()))

    assert result["truncated"] is True


def test_output_that_was_cut_before_is_not_taken_for_json() -> None:
    assert result_of(printed("7", cut=True)) == {"output": "7", "truncated": True}


@pytest.mark.parametrize("text", ['{"claim_token": 1}', '[{"a": {"Claim_Token": ""}}]'])
def test_json_that_names_a_claim_token_is_kept_as_text(text: str) -> None:
    assert result_of(printed(text)) == {"output": text, "truncated": False}


def test_json_nested_too_deeply_to_read_is_kept_as_text() -> None:
    text = "[" * 30_000 + "]" * 30_000

    assert result_of(printed(text)) == {"output": text, "truncated": False}


@given(st.text(st.sampled_from('a"\\\n\x00é€😀')), st.integers(1, 400))
def test_shortened_text_is_within_the_limit_and_an_end_of_the_text(text: str, times: int) -> None:
    result = shortened(text * times * 20, cut=False)

    assert len(msgspec.json.encode(result)) <= RESULT_BYTES
    assert (text * times * 20).endswith(result["output"])
    assert result["truncated"] == (result["output"] != text * times * 20)


@given(st.lists(st.binary(max_size=30)), st.integers(1, 40))
def test_a_tail_keeps_the_last_bytes(pieces: list[bytes], limit: int) -> None:
    tail = Tail(limit)
    for piece in pieces:
        tail.add(piece)
    whole = b"".join(pieces)

    assert tail.text() == whole[-limit:].decode("utf-8", "replace")
    assert tail.cut == (len(whole) > limit)


def test_an_error_names_the_exit_code_and_the_last_lines_of_standard_error() -> None:
    stderr = "\n".join(f"line {number}" for number in range(100))
    error = error_of(Outcome(exit_code=3, stdout="ignored", stderr=stderr))

    assert error.startswith("exit code 3\nline 80\n")
    assert error.endswith("line 99")


def test_an_error_shows_standard_output_when_standard_error_is_silent() -> None:
    assert error_of(Outcome(exit_code=1, stdout="why\n")) == "exit code 1\nwhy"


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [(0, "exit code 0"), (-9, "killed by SIGKILL"), (-63, "killed by signal 63")],
)
def test_an_ending_is_told_in_words(exit_code: int, words: str) -> None:
    assert ending_of(exit_code) == words
