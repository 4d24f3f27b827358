"""What a run's description in MLflow says, in Markdown: what it is, where it came from, how to do it again."""

import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from locat.config import JobConfig, TrainingConfig
from locat.contract.job_folder import JobFolder
from locat.contract.submission import Submission
from locat.contract.tracking import ParentRun, TrackingCursor
from locat.engine.tracking import columns

LENGTH = 8000  # characters that MLflow takes for a tag's value
TRAINING_VIEW = "?workflowType=machine_learning"
"""Without it MLflow 3 shows a run as one of a chat application's."""
CHARTS = (
    "`train/`: at each logged step. `val/`: evaluations; top1, top5, miou, macc and aacc in percent. `throughput/`: "
    "images a second, and the fraction of the time that steps waited for data. `ranks/`: the slowest rank, and its "
    "time over the median of all. `checkpoint/`: failures, and seconds that training stood still for one. "
    "`usage/`: seconds that the whole job spent on each kind of work, at its end."
)


def pipeline_note(folder: Path, experiment_id: str) -> str:
    """Of a whole pipeline run: what the pipeline says of itself, its jobs, where the run lies, how to do it again."""
    asked = Submission.read(folder)
    where = {
        "list": f"[runs with their numbers](#/experiments/{experiment_id}/runs{TRAINING_VIEW}&{columns.SHARED})",
        "numbers": "of `compare` jobs, under **Metrics**; each job has a run of its own, nested below this one",
        "tables": f"`launcher report {folder.name}`",
        "folder": f"`{folder}`",
    }
    if asked is None:
        return _table(["", ""], where.items())
    is_here = bool(asked.folder)  # else it was submitted from elsewhere, and pipeline.yaml is but a comment
    about = {"pipeline": f"{asked.pipeline}{'; `pipeline.yaml` is under **Artifacts**' if is_here else ''}", **where}
    settings = [word for each in asked.settings for word in ("--set", each)]
    origin = ["--from", asked.branch] if asked.branch else []
    again = shlex.join(["launcher", "submit", str(folder / "pipeline.yaml"), *settings, *origin])
    fits = is_here and not set("\n|`") & set(again)
    jobs = [[step.name, step.task, ", ".join(step.needs), " and ".join(step.axes)] for step in asked.jobs]
    parts = [
        asked.description,
        _table(["", ""], {**about, **({"again": f"`{again}`"} if fits else {})}.items()),
        *([f"again:\n\n{textwrap.indent(again, '    ', lambda line: True)}"] if is_here and not fits else []),
        _table(["job", "task", "needs", "once for each"], jobs),
    ]
    return "\n\n".join(parts)[:LENGTH]


def job_note(job: JobFolder, config: JobConfig, parent: ParentRun) -> str:
    """Of one job: its pipeline run, the jobs whose outputs it reads, where it lies, what its charts show."""
    assert config.tracking is not None, "who writes notes is tracked"
    about = _table(
        ["", ""],
        {
            "pipeline": run_link(config.tracking.parent.name, parent.experiment_id, parent.run_id),
            "reads": ", ".join(_upstream(job, config, parent.experiment_id)) or "no other job's outputs",
            **_origin(config, parent.experiment_id),
            "outputs": f"`{job.outputs}`; copies are under **Artifacts**",
            "again": f"`python -m locat {job.config}`, for each rank under `torchrun`",
        }.items(),
    )
    return "\n\n".join([about, CHARTS] if isinstance(config, TrainingConfig) else [about])[:LENGTH]


def run_link(name: str, experiment_id: str, run_id: str) -> str:
    """A link to a run on whatever server the page is read from."""
    return f"[{name}](#/experiments/{experiment_id}/runs/{run_id}{TRAINING_VIEW})"


def _origin(config: JobConfig, experiment_id: str) -> dict[str, str]:
    """The other run's job whose checkpoint this one went on from."""
    if not isinstance(config, TrainingConfig) or config.branch is None:
        return {}
    run_id = TrackingCursor.read(JobFolder(config.branch.job)).run_id
    name = str(config.branch)
    return {"goes on from": run_link(name, experiment_id, run_id) if run_id else name}


def _upstream(job: JobFolder, config: JobConfig, experiment_id: str) -> Iterator[str]:
    """Links to the jobs below whose folders this one's config has paths; mere names of those without a run."""
    jobs = job.path.parent
    paths = [Path(value) for value in _texts(config.recorded()) if value.startswith(f"{jobs}/")]
    for name in dict.fromkeys(path.relative_to(jobs).parts[0] for path in paths):
        run_id = TrackingCursor.read(JobFolder(jobs / name)).run_id
        yield run_link(name, experiment_id, run_id) if run_id else name


def _texts(value: Any) -> Iterator[str]:
    """All texts within nested mappings and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))
    elif isinstance(value, Iterable):
        for each in value:
            yield from _texts(each)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])
