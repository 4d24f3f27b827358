"""`model.init` as jobs take it: paths absolute, runs by their folders, and what this machine can see is there."""

from pathlib import Path

from locat.config.weights import SUFFIXES, JobWeights, job_weights, local_path
from locat.contract.checkpoint_folder import checkpoints_in, step_of
from locat.contract.job_folder import JobFolder
from locat.contract.problems import did_you_mean
from locat.contract.tracking_uri import located_path

LEFT = "model.safetensors"
"""What a job that leaves a model leaves it in."""


def located(source: str, base: Path | None, run: Path) -> str:
    """What a job takes for a source that was written in a file of the folder `base`; `run` is the job's run folder.

    Raises:
        ValueError: it names a home folder that is nobody's.
    """
    if (job := job_weights(source)) is not None:
        return str(job._replace(run=str(_run_folder(job, base, run))))
    path = local_path(source)
    return source if path is None else str(located_path(path, base))


def depends_on_folder(source: str) -> bool:
    """Whether it means something else in another folder, or on another machine: a relative path, or one of `~`."""
    job, path = job_weights(source), local_path(source)
    if job is not None:
        path = Path(job.run) if "/" in job.run else None
    return path is not None and not path.is_absolute()


def check(source: str, run: Path) -> None:
    """Look for what a located source names, unless a job of the same run has yet to write it.

    Raises:
        ValueError: it is not there; says what is.
    """
    if (job := job_weights(source)) is not None:
        _check_job(job, Path(job.run), run)
    elif (path := local_path(source)) is not None and run not in path.parents:
        _check_path(path)


def _run_folder(job: JobWeights, base: Path | None, run: Path) -> Path:
    """Of a run by its id beside `run`, or by the path of its folder."""
    path = Path(job.run)
    return run.parent / path if len(path.parts) == 1 and job.run != "~" else located_path(path, base)


def _check_path(path: Path) -> None:
    if path.is_dir():
        if not any(file.name.endswith(SUFFIXES) for file in path.iterdir()):
            raise ValueError(f"{path} holds no file of weights ({LEFT}, or one that ends with {', '.join(SUFFIXES)})")
    elif not path.exists():
        raise ValueError(f"{path}: no such file or folder{did_you_mean(path.name, _names(path.parent))}")
    elif not path.name.endswith(SUFFIXES):
        raise ValueError(f"{path}: weights are in files that end with {', '.join(SUFFIXES)}")


def _check_job(job: JobWeights, folder: Path, run: Path) -> None:
    if folder == run:
        raise ValueError(f"{job.job!r} is of this run itself; write ${{jobs.{job.job}.outputs.model}}")
    if not folder.is_dir():
        raise ValueError(f"no run {folder.name!r} in {folder.parent}{did_you_mean(folder.name, _names(folder.parent))}")
    found = JobFolder(folder / "jobs" / job.job)
    if not found.path.is_dir():
        raise ValueError(f"no job {job.job!r} in run {folder.name}{did_you_mean(job.job, _names(found.path.parent))}")
    if not job.at and not (found.outputs / LEFT).exists():
        raise ValueError(f"{job.job} of run {folder.name} has left no model; name a checkpoint: @best or @STEP")
    steps = [step_of(checkpoint) for checkpoint in checkpoints_in(found.checkpoints)]
    if job.at and (not steps or (job.at != "best" and int(job.at) not in steps)):
        there = f"there are those of steps {', '.join(map(str, steps))}" if steps else "there are none"
        raise ValueError(f"{job.job} of run {folder.name} has no checkpoint @{job.at}; {there}")


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []
