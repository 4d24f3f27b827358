"""Names from outside, made fit for one line of a message, a log or a picture."""

from locat.contract.text import printable

LONGEST, LONGEST_PATH = 80, 400  # characters of a name and of a path


def one_line(name: object, longest: int = LONGEST) -> str:
    """`name` in one line: what does not print (line ends, terminal escapes, bytes that are no UTF-8) is escaped.

    Of a longer one the middle is left out. Two names may so look alike: this is for people, never a key.
    """
    escaped = printable(str(name))
    text = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in escaped)
    kept = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:kept]}…{text[-kept:]}"


def one_line_path(path: object) -> str:
    """As `one_line`, of a whole path."""
    return one_line(path, LONGEST_PATH)


def drawable(name: object, longest: int = LONGEST) -> str:
    """`name` as `one_line` gives it, for Matplotlib to draw as it stands: no formula, and in legends as well."""
    text = one_line(name, longest).replace("$", r"\$")
    return f"\u200a{text}" if text.startswith("_") else text
