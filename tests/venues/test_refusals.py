"""What venues say when they refuse, in every shape that it comes in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.venues.refusals import LONGEST_TEXT, Refusal, describe, read_refusal


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # Kalshi (B6.3)
        (
            b'{"error":{"code":"invalid_order","message":"invalid order","details":"post only cross"}}',
            ("invalid_order", "invalid order: post only cross"),
        ),
        (b'{"code":"bad_request","message":"bad request","details":"not JSON"}', ("bad_request", "bad request: not JSON")),
        (b'{"error":"too many requests"}', ("", "too many requests")),
        (b'{"error":{"code":"not_found","message":null,"details":null}}', ("not_found", "not_found")),
        # Polymarket (A5.4, A5.6)
        (b'{"error":"order 0xab is invalid. Duplicated."}', ("", "order 0xab is invalid. Duplicated.")),
        (b'{"error_msg":"Invalid Heartbeat ID","heartbeat_id":"7"}', ("", "Invalid Heartbeat ID")),
        (b'{"success":false,"errorMsg":"not enough balance / allowance","orderID":""}', ("", "not enough balance / allowance")),
        (b'"Unauthorized"', ("", "Unauthorized")),
        # neither
        (b"{}", ("", "no reason given")),
        (b"[1]", ("", "no reason given")),
        (b'{"error":{}}', ("", "no reason given")),
        (b'{"error":7,"code":12}', ("12", "7")),
        (b"", ("", "an empty body")),
        (b"<!doctype html><html><head><title>Just a\n moment...</title>" + b"x" * 5000, ("", "a page titled 'Just a moment...'")),
        (b"  <?xml version='1.0'?><oops/>", ("", "a page of HTML or XML")),
        (b"\x00\xff\xfe" * 100, ("", "300 bytes that are no JSON")),
        (b"upstream connect error", ("", "22 bytes that are no JSON")),
    ],
)
def test_every_shape_gives_one_code_and_one_text(body: bytes, expected: tuple[str, str]) -> None:
    assert read_refusal(body)[:2] == expected


def test_how_long_a_mode_lasts_is_read() -> None:
    body = b'{"error":"post-only mode: only post-only orders and cancels are allowed","code":"post_only_mode","retry_after_seconds":90}'
    assert read_refusal(body) == Refusal("post_only_mode", "post-only mode: only post-only orders and cancels are allowed", 90.0)
    assert read_refusal(b'{"error":"x","retry_after_seconds":-1}').retry_after_seconds is None
    assert read_refusal(b'{"error":"x","retry_after_seconds":1e300}').retry_after_seconds is None


def test_a_text_is_one_short_printable_line() -> None:
    text = read_refusal(b'{"error":"a\\u0000b\\nc\\u202e' + b"x" * 100_000 + b'"}').text
    assert text.startswith("a b c x")
    assert len(text) <= LONGEST_TEXT
    assert text.isprintable()


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode) | st.just(b"[" * 100_000) | st.just(b"9" * 5000))
def test_any_body_gives_a_short_printable_line(body: bytes) -> None:
    for text in (read_refusal(body).text, describe(body)):
        assert text
        assert text.isprintable()
        assert len(text) <= LONGEST_TEXT
