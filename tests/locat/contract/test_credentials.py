"""Credentials in URLs, wherever they stand."""

import time

import pytest

from locat.contract.credentials import has_password, redact


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("uri: https://me:secret@host/x # a@b", "uri: https://***@host/x # a@b"),
        ("https://me:se/cret@host/x", "https://***@host/x"),
        ("https://me:s@cret@host/x", "https://***@host/x"),
        ("'https://me:se/cr/et@host', b@c", "'https://***@host', b@c"),
        ("postgresql://h/db?user=me&password=secret&sslmode=no", "postgresql://h/db?user=me&password=***&sslmode=no"),
        ("http://host/x?token=secret", "http://host/x?token=***"),
    ],
)
def test_they_are_found_and_blanked(text: str, left: str) -> None:
    assert has_password(text) and redact(text) == left and "cret" not in left


@pytest.mark.parametrize("text", ["https://host/x@y", "http://host:5000/x?page=2", "me@host", "a: b@c", "://"])
def test_what_holds_none_stays(text: str) -> None:
    assert not has_password(text) and redact(text) == text


def test_a_user_without_a_password_is_blanked_too() -> None:
    assert redact("ssh://me@host/x") == "ssh://***@host/x"


def test_a_long_text_takes_no_long_time() -> None:
    began = time.monotonic()
    for text in ("://a:" * 50_000, "://" * 50_000, "://" + "a" * 200_000):
        assert not has_password(text) and redact(text) == text
    assert time.monotonic() < began + 10
