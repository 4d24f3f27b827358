"""Secrets in a patch: it is kept with the run and sent to MLflow, where more people read it than the code."""

import os
import re
from collections.abc import Collection

from launcher.compile.secrets import spellings
from locat.contract.credentials import SECRET_NAME, redact

BLANK = "***"
_ASSIGNED = re.compile(
    r"""((?:token(?!iz)|secret|password|passwd|passphrase|api_?key|credentials?)\w*["']?\s*[:=]\s*(["']))[^"'\s]{8,}(\2)""",
    re.I,
)
"""`db_password = "..."`, in Python, YAML or JSON; not `tokenizer = "..."`."""
_KNOWN = re.compile(
    r"\b(?:hf_\w{30,}|gh[pousr]_\w{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}|AKIA[0-9A-Z]{16}|sk-[\w-]{30,})"
)
"""Tokens that services make so that they can be told."""


def blanked(patch: bytes, secrets: Collection[str]) -> bytes:
    """`patch` without credentials of URLs, what looks like a secret, and the values of such variables of this shell.

    Args:
        secrets: variables that hold one, whatever they are called.
    """
    text = patch.decode(errors="surrogateescape")
    names = {*secrets, *(name for name in os.environ if SECRET_NAME.search(name.upper()))}
    found = {spelling for name in names for spelling in spellings(os.environ.get(name, ""))}
    for spelling in sorted(found, key=len, reverse=True):  # one may begin as another does
        text = text.replace(spelling, BLANK)
    text = _KNOWN.sub(BLANK, _ASSIGNED.sub(rf"\1{BLANK}\3", redact(text)))
    return text.encode(errors="surrogateescape")
