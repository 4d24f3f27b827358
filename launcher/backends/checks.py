"""What `launcher doctor` looks at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    subject: str
    good: bool
    found: str
    remedy: str
    """What to do if it is not good."""
    needed: bool = True
