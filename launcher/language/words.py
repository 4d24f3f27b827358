"""The kinds of words that the language is made of, and the base of its models."""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from locat.contract.problems import KeyPath, shown


def named(what: str, pattern: str, most: int) -> AfterValidator:
    """Text that matches `pattern` whole; `what` is what messages call it."""

    def check(value: str) -> str:
        if len(value) > most or not re.fullmatch(pattern, value):
            raise ValueError(f"expected {what}, at most {most} characters, got {shown(value)}")
        return value

    return AfterValidator(check)


def as_text(value: object) -> object:
    """A whole number where text is wanted: YAML reads 8 as a number."""
    return str(value) if type(value) is int else value


Word = Annotated[
    str, BeforeValidator(as_text), named("one word without quotes", r"[A-Za-z0-9_.,:;&|*\[\]()/=@+%-]+", 200)
]
"""What stands in an #SBATCH line as it is."""
Image = Annotated[
    str,
    named(
        "an image such as registry.example/lab/locat:1.0 or /images/locat.sif", r"/?[A-Za-z0-9][A-Za-z0-9_.:/@+-]*", 500
    ),
]
MountPath = Annotated[str, named("an absolute path of plain characters", r"/[A-Za-z0-9_.@+%=/-]*", 1000)]
ObjectName = Annotated[
    str, named("a Kubernetes name of lower-case letters, digits, '-' and '.'", "[a-z0-9]([a-z0-9.-]*[a-z0-9])?", 253)
]
Size = Annotated[str, named("a size such as 500M, 64G or 1T", "[1-9][0-9]*[MGT]", 12)]
Duration = Annotated[str, named("a duration such as 90m, 12h or 2d", "[1-9][0-9]*[mhd]", 8)]
_MEBIBYTES = {"M": 1, "G": 1 << 10, "T": 1 << 20}
_MINUTES = {"m": 1, "h": 60, "d": 24 * 60}


def mebibytes(size: str) -> int:
    """MiB of a `Size` such as `64G`."""
    return int(size[:-1]) * _MEBIBYTES[size[-1]]


def minutes(duration: str) -> int:
    """Minutes of a `Duration` such as `12h`."""
    return int(duration[:-1]) * _MINUTES[duration[-1]]


class Schema(BaseModel):
    """Base of the language: unknown keys are errors, types are not guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class BackendOptions(Schema):
    """Base of what a pipeline may say to one backend alone, under `options.NAME`. Every key has a default."""

    def check_job(self, image: str) -> Iterator[tuple[KeyPath, str]]:
        """What contradicts the rest of a job: the key's path below `options.NAME`, and a message with the remedy.

        `image` is the job's container image; empty if it names none.
        """
        yield from ()
