"""source.json of a run's folder: which code its jobs run, where that came from, and what was installed beside it.

`jobs/<job>/attempts/<n>/machine.json` says where one attempt ran, and which of a run's code it ran.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from locat.contract import durable, records
from locat.contract.job_folder import JobFolder

FORMAT = 1
NAME = "source.json"
MACHINE = "machine.json"


@dataclass(frozen=True)
class Origin:
    """A checkout, an installation or an image that modules were taken from."""

    folder: str
    modules: tuple[str, ...]
    commit: str = ""
    """Of git; empty where that is not told."""
    branch: str = ""
    patch: str = ""
    """File of the run's folder that makes of the commit's modules those that were taken; empty if they are the same."""
    note: str = ""
    """Why there is no commit or patch, or what is left out of the patch."""

    @property
    def is_changed(self) -> bool:
        """Whether the modules may differ from those of the commit."""
        return bool(self.patch or self.note)


@dataclass(frozen=True)
class Source:
    """The code of a run."""

    digest: str
    """SHA-256 of names and contents of its files."""
    folder: str
    """Where jobs import it from; empty where their image has it."""
    files: int
    bytes: int
    taken: float
    """Unix time."""
    taken_by: str
    """What the user typed: `submit`, `retry` or `retry --code now`; `the image` of what jobs find in theirs."""
    origins: tuple[Origin, ...]
    """The project's comes first."""
    python: str
    """Version of the interpreter that took it, which is the jobs' own but in containers."""
    lock: str = ""
    """SHA-256 of requirements.lock beside the project; empty if it is not there."""
    installed: dict[str, str] = field(default_factory=dict)
    """Installed packages -> their versions."""
    path: tuple[str, ...] = ()
    """Folders of the submitting shell's PYTHONPATH, from which jobs import what is not in `folder`."""
    earlier: tuple["Source", ...] = ()
    """What other jobs of this run run, or ran before; oldest first."""

    @classmethod
    def read(cls, run: Path) -> "Source | None":
        """Of the run in a folder; None without the file, which older versions did not write, or with a damaged one."""
        try:
            return _source(records.read_object(run / NAME))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None

    def write(self, run: Path) -> None:
        durable.write_json(run / NAME, records.numbered(asdict(self), FORMAT))

    def after(self, earlier: "Source | None") -> "Source":
        """This one, as what takes the place of an earlier one, perhaps of itself by a process that was killed."""
        if earlier is None:
            return self
        if (earlier.digest, earlier.folder, earlier.path) == (self.digest, self.folder, self.path):
            return replace(self, earlier=earlier.earlier)
        return replace(self, earlier=(*earlier.earlier, replace(earlier, earlier=())))

    def of(self, digest: str) -> "Source | None":
        """This record, or an earlier one, of the code with this digest."""
        return next((each for each in (self, *self.earlier) if each.digest == digest), None)

    @property
    def patches(self) -> Iterator[str]:
        """Files of the run's folder that hold what was not committed."""
        return (origin.patch for origin in self.origins if origin.patch)


def _source(values: dict[str, Any]) -> Source:
    origins = tuple(records.built(Origin, {**each, "modules": tuple(each["modules"])}) for each in values["origins"])
    more = {"origins": origins, "path": tuple(values["path"]), "earlier": tuple(map(_source, values["earlier"]))}
    return records.built(Source, {**values, **more})


@dataclass(frozen=True)
class Machine:
    """Where one attempt of a job ran, and what."""

    host: str
    cpu: str = ""
    """Model of the processor; empty where that is not told."""
    gpus: tuple[str, ...] = ()
    """Models of the node's NVIDIA GPUs, of which the job may have been given some."""
    image: str = ""
    """Container image, with its digest if the pipeline names it by that; empty without a container."""
    code: str = ""
    """`Source.digest` of what it ran; empty where that is not known, as in a container that the launcher is not in."""

    @classmethod
    def read(cls, job: JobFolder) -> "Machine | None":
        """Of a job's latest attempt that left it; None if none did."""
        for attempt in sorted(job.attempts.glob("[0-9]*"), key=lambda path: int(path.name), reverse=True):
            try:
                values = records.read_object(attempt / MACHINE)
                return records.built(cls, {**values, "gpus": tuple(values["gpus"])})
            except (OSError, ValueError, LookupError, TypeError):
                continue
        return None

    def write(self, attempt: Path) -> None:
        durable.write_json(attempt / MACHINE, records.numbered(asdict(self), FORMAT))
