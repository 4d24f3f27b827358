"""No text ends a process or commands a terminal."""

import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locat.contract import durable
from locat.contract.text import printable, speak


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (os.fsdecode(b"caf\xe9.png"), "caf\\xe9.png"),
        ("\x1b]0;owned\x07\x1b[2J", "\\x1b]0;owned\\x07\\x1b[2J"),
        ("50 %\rdone", "50 %\\x0ddone"),
        ("gnp.\u202eexe", "gnp.\\u202eexe"),
        ("Käse\tund\nBrot 🧀", "Käse\tund\nBrot 🧀"),
    ],
)
def test_what_a_terminal_must_not_get_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.binary())
def test_any_name_of_a_file_can_be_printed(name: bytes) -> None:
    shown = printable(os.fsdecode(name))
    shown.encode()
    assert all(character.isprintable() or character in "\t\n" or ord(character) > 0xFF for character in shown)


def test_a_strict_stream_escapes_what_it_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", errors="strict"))
    monkeypatch.setattr(sys, "stderr", None)  # closed
    speak()
    print("caf\udce9 Käse", flush=True)
    assert written.getvalue() == b"caf\\udce9 K\\xe4se\n"


def test_a_file_takes_any_text(tmp_path: Path) -> None:
    durable.write_text(tmp_path / "x", "caf\udce9")
    assert (tmp_path / "x").read_text() == "caf\\udce9"
