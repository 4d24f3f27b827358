"""How far running jobs are, in words."""

from locat.contract.progress import ProgressRecord


def described(progress: ProgressRecord) -> str:
    """Progress as a line of a log says it."""
    eta = f", {clock(progress.eta)} left" if progress.eta is not None else ""
    rate = f", {progress.rate:.3g}/s" if progress.rate > 0 else ""
    return f"{progress.phase} {progress.done}/{progress.total} {progress.unit}{rate}{eta}"


def clock(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
