"""Single values: limits, forms and the texts of their refusals."""

from typing import Any

import pytest

from domain import fields
from domain.errors import DomainError, PayloadTooLargeError, ValidationError
from domain.instants import ZERO_TIME, parse_rfc3339, rfc3339, rfc3339_or_none
from domain.values import NO_JSON, DependencyKind, Json, Scope


def refusal(check: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(DomainError) as refused:
        check(*args, **named)
    return refused.value.text


def test_text_is_trimmed() -> None:
    assert fields.text("  a b \n", "p") == "a b"
    assert fields.text(None, "p") == ""


@pytest.mark.parametrize("value", ["x" * 65_537, "ü" * 32_769])
def test_text_has_a_generous_limit_in_bytes(value: str) -> None:
    assert fields.text("x" * 65_536, "p")
    assert fields.text("ü" * 32_768, "p")
    with pytest.raises(PayloadTooLargeError, match="p exceeds 65536 bytes"):
        fields.text(value, "p")


def test_an_id_has_a_limit() -> None:
    assert fields.identifier("x" * 1024, "p")
    assert refusal(fields.identifier, "x" * 1025, "p").endswith("p exceeds 1024 bytes")


def test_text_without_nul_only() -> None:
    assert "p must not contain the NUL character" in refusal(fields.text, "a\x00b", "p")


def test_a_blank_text_is_refused_where_one_is_required() -> None:
    assert (
        refusal(fields.required, " ", "p.title") == "task: validation failed: p.title is required"
    )


def test_a_choice_is_trimmed_and_lower_cased() -> None:
    assert fields.choice(" GLOBAL ", "p", Scope) == "global"
    assert fields.choice("", "p", Scope, "workspace") == "workspace"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", "p is required"),
        (None, "p is required"),
        ("x", 'p must be "global" or "workspace": "x"'),
        ("X" * 200, 'p must be "global" or "workspace": "' + "x" * 128 + '…"'),
    ],
)
def test_other_choices_are_refused(value: str | None, text: str) -> None:
    assert refusal(fields.choice, value, "p", Scope) == f"task: validation failed: {text}"


def test_a_single_choice_is_named_alone() -> None:
    assert refusal(fields.choice, "x", "p", DependencyKind).endswith('p must be "blocks": "x"')


@pytest.mark.parametrize("name", ["a", "0", "a-b_c", "a" * 64, ""])
def test_a_channel_name_follows_the_grammar(name: str) -> None:
    assert fields.channel(f" {name} ", "p") == name


@pytest.mark.parametrize("name", ["A", "-a", "_a", "a" * 65, "a b", "ä", "a\nb"])
def test_other_channel_names_are_refused(name: str) -> None:
    text = refusal(fields.channel, name, "p.network_channel")
    assert text.startswith(
        "task: validation failed: p.network_channel must match ^[a-z0-9][a-z0-9_-]{0,63}$"
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "must be positive: 0"), (-1, "must be positive: -1"), (11, "must be <= 10: 11")],
)
def test_numbers_out_of_range_are_refused(number: int, text: str) -> None:
    assert fields.at_least_one(1, "p", 10) == 1
    assert fields.at_least_one(10, "p", 10) == 10
    assert refusal(fields.at_least_one, number, "p", 10).endswith(f"p {text}")


def test_a_lease_has_a_default_and_bounds() -> None:
    assert fields.lease_seconds(0, 300) == 300
    assert fields.lease_seconds(1, 300) == 1
    assert fields.lease_seconds(86_400, 300) == 86_400
    assert "lease_seconds exceeds 86400" in refusal(fields.lease_seconds, 86_401, 300)
    assert "lease_seconds must not be negative: -1" in refusal(fields.lease_seconds, -1, 300)


def test_capabilities_lose_duplicates_and_keep_their_order() -> None:
    assert fields.capabilities([" go ", "rust", "go"], "p") == ("go", "rust")
    assert fields.capabilities(["x" * 128], "p") == ("x" * 128,)


@pytest.mark.parametrize("value", ["", " ", "a b", "a\tb", "a,b", "a\nb", "a\rb", "x" * 129])
def test_other_capabilities_are_refused(value: str) -> None:
    assert "p must be ids of 1 to 128 bytes" in refusal(fields.capabilities, [value], "p")


def test_capabilities_are_limited_in_number() -> None:
    assert len(fields.capabilities([str(n) for n in range(256)], "p")) == 256
    text = refusal(fields.capabilities, ["a"] * 257, "p")
    assert "p must have at most 256 items: 257" in text


def test_json_is_kept_in_one_line() -> None:
    kept = fields.json(Json(b' {"a" : [1,\n 2.50, "\\u00e4"]} '), "p", 100)
    assert bytes(kept) == b'{"a":[1,2.50,"\\u00e4"]}'


@pytest.mark.parametrize("value", [b"", b"  ", b"null", b" null "])
def test_json_null_is_absent(value: bytes) -> None:
    assert fields.json(Json(value), "p", 100) is NO_JSON


@pytest.mark.parametrize("value", [b"{", b"{} {}", b'{"a":\xff}', b'"\xff"', b"nul", b'{"a":01}'])
def test_json_must_parse(value: bytes) -> None:
    with pytest.raises(ValidationError, match="p must contain valid JSON"):
        fields.json(Json(value), "p", 100)


def test_json_nested_too_deeply_is_refused() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert "p is nested too deeply" in refusal(fields.json, Json(deep), "p", 1_000_000)


def test_the_limit_counts_the_json_as_it_was_sent() -> None:
    assert fields.json(Json(b'  {"a": 1} '), "p", 8)
    with pytest.raises(PayloadTooLargeError, match="task: payload too large: p exceeds 7 bytes"):
        fields.json(Json(b'{"a": 1}'), "p", 7)


@pytest.mark.parametrize(
    "value",
    [
        b'{"claim_token":1}',
        b'{"a":[{"Claim_Token":{}}]}',
        b'[[{"claim\\u005ftoken":null}]]',
        b'{"a":["see agh_claim_x1"]}',
        b'{"agh_claim_x1":1}',
        b'"agh\\u005fclaim_x1"',
    ],
)
def test_lease_credentials_are_refused_at_any_depth(value: bytes) -> None:
    text = refusal(fields.json, Json(value), "p", 100, secret_free=True)
    assert text == "task: validation failed: p must not contain raw lease credentials"
    assert fields.json(Json(value), "p", 100)


@pytest.mark.parametrize(
    "value",
    [b'"claim_token"', b'{"claim_tokens":"claim_token"}', b'{"claim_":[1]}', b'"agh_claim_"', b"3"],
)
def test_the_word_alone_is_no_credential(value: bytes) -> None:
    assert bytes(fields.json(Json(value), "p", 100, secret_free=True)) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-04-26T12:00:00Z", "2026-04-26T12:00:00Z"),
        ("2026-04-26t14:00:00.120000+02:00", "2026-04-26T12:00:00.12Z"),
        ("2026-04-26 12:00:00.123456789z", "2026-04-26T12:00:00.123456Z"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"),
    ],
)
def test_times_are_shown_in_utc_without_trailing_zeros(text: str, shown: str) -> None:
    assert rfc3339(parse_rfc3339(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["", "2026-04-26", "2026-04-26T12:00:00", "2026-13-01T00:00:00Z", "2026-04-26T25:00:00Z"],
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_rfc3339(text)


def test_a_time_that_was_never_set_shows_as_the_zero_time_or_not_at_all() -> None:
    assert rfc3339(0) == ZERO_TIME
    assert rfc3339_or_none(0) is None
    assert rfc3339_or_none(1_000_000) == "1970-01-01T00:00:01Z"
