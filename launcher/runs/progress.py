"""How far running jobs are, in words."""

from locat.contract.progress import ProgressRecord


def described(progress: ProgressRecord) -> str:
    """Progress as a line of a log says it."""
    eta = f", {clock(progress.eta)} left" if progress.eta is not None else ""
    return f"{progress.phase} {progress.done}/{progress.total} {progress.unit}, {progress.rate:.3g}/s{eta}"


def clock(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
