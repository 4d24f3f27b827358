"""Credentials: in URLs, of a user before the host or in the query; and variables that are called like some."""

import re

LONGEST = 500
"""Characters of a password that is looked for: a text of many `://` is not read again and again."""
SECRET_NAME = re.compile(
    "(^|_)([A-Z0-9]*(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|CRED|BEARER|KEY)|(PG|DB|SMTP|USER)?PASS)S?(_|$)"
    "|(^|_)O?AUTH$|_PWD$"
)
"""What variables are called, in capitals, that hold a secret."""
_QUERY = r"(?<=[?&])(?P<key>(?:password|passwd|pass|pwd|token|secret|api_?key|sslpassword)=)[^\s&'\"]+"
_PASSWORD = re.compile(rf"://[^\s/:@'\"]*:[^\s@'\"]{{1,{LONGEST}}}@|{_QUERY}", re.IGNORECASE)
_USER = re.compile(rf"(?<=://)(?:[^\s/'\"]{{1,{LONGEST}}}|[^\s/:@'\"]*:[^\s@'\"]{{1,{LONGEST}}})@")


def has_password(text: str) -> bool:
    """Whether `text` has a URL with a password, which may hold a `/`."""
    return _PASSWORD.search(text) is not None


def redact(text: str) -> str:
    """`text` without the credentials of its URLs: user and password, and those of the query."""
    return re.sub(_QUERY, r"\g<key>***", _USER.sub("***@", text), flags=re.IGNORECASE)
