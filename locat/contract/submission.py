"""submitted.json of a run's folder: what was asked, as it was understood then; pipeline.yaml beside it is the text."""

from dataclasses import asdict, dataclass
from pathlib import Path

from locat.contract import durable, records

FORMAT = 1
NAME = "submitted.json"


@dataclass(frozen=True)
class Step:
    """One job of the pipeline, of which its matrix makes several."""

    name: str
    task: str
    needs: tuple[str, ...] = ()
    axes: tuple[str, ...] = ()
    """Of its matrix."""


@dataclass(frozen=True)
class Submission:
    """What was submitted."""

    pipeline: str
    description: str
    jobs: tuple[Step, ...]
    folder: str = ""
    """Absolute; relative paths in pipeline.yaml are from there. Empty where only the plan is known."""
    elsewhere: tuple[tuple[tuple[str | int, ...], str], ...] = ()
    """Keys whose values came from an included file of another folder, each with that folder."""
    settings: tuple[str, ...] = ()
    """Each `KEY=VALUE` of `--set`, in order."""
    branch: str = ""
    """RUN/JOB@STEP of `--from`."""

    @classmethod
    def read(cls, folder: Path) -> "Submission | None":
        """Of the run in `folder`; None without the file, which older versions did not write, or with a damaged one."""
        try:
            values = records.read_object(folder / NAME)
            return records.built(
                cls,
                {
                    **values,
                    "jobs": tuple(
                        records.built(Step, {**step, "needs": tuple(step["needs"]), "axes": tuple(step["axes"])})
                        for step in values["jobs"]
                    ),
                    "elsewhere": tuple((tuple(path), other) for path, other in values["elsewhere"]),
                    "settings": tuple(values["settings"]),
                },
            )
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        durable.write_json(folder / NAME, records.numbered(asdict(self), FORMAT))
