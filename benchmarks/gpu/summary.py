"""The results of a run as tables in Markdown."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from running import Record

LONGEST = 8
"""Operations of the profile that are shown."""


def summary(records: Sequence[Record], results: Path) -> str:
    """How each part went, then what was found, as far as it goes."""
    found = [json.loads((results / name).read_text()) for record in records for name in json_names(record)]
    lines = ["# One GPU", ""]
    if found:
        machine, versions = found[0]["machine"], found[0]["versions"]
        where = machine["gpu"] or "a rehearsal on a CPU: no number below is a measurement"
        software = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        lines += [f"{where}; {machine['cores']} cores of {machine['processor']}; {software}; {found[0]['date']}", ""]
    lines += table(
        ("part", "status", "seconds", "reason"),
        ((record.part, record.status, f"{record.seconds:.0f}", record.reason) for record in records),
    )
    for what, show in SHOWN.items():
        chosen = [each for each in found if each["what"] == what]
        if chosen:
            lines += ["", f"## {what}", "", *show(chosen)]
    return "\n".join(lines) + "\n"


def json_names(record: Record) -> list[str]:
    return [name for name in record.results if name.endswith(".json") and name != record.file]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def forms(found: list[dict[str, Any]]) -> list[str]:
    """Of attention and of training steps."""

    def rows() -> Iterator[tuple[str, ...]]:
        for result in found:
            settings = result["settings"]
            problem = (
                f"{settings.get('size', '')} B{settings['batch']} N{settings.get('tokens', settings.get('image'))}"
            )
            for name, form in result["forms"].items():
                peak = f"{form['peak_mb'] / 1000:.2f}" if "peak_mb" in form else ""
                rate = f"{form['images_per_s']:,.0f}" if "images_per_s" in form else ""
                mfu = f"{100 * form['mfu']:.1f}" if "mfu" in form else ""
                yield problem, name, f"{form['median_ms']:.2f}", f"{form['ratio']:.3f}", peak, rate, mfu
            for name, why in result.get("failed", {}).items():
                yield problem, name, f"does not run: {why}", "", "", "", ""

    head = ("problem (B images, N tokens or pixels)", "form", "ms", "x plain", "peak GB", "images/s", "MFU %")
    return table(head, rows())


def chains(found: list[dict[str, Any]]) -> list[str]:
    rows = []
    for result in found:
        for name, job in result["jobs"].items():
            metrics = ", ".join(f"{key} {value:.1f}" for key, value in job.get("metrics", {}).items())
            rows.append((result["strategy"], name, str(job["exit_code"]), f"{job['seconds']:.0f}", metrics))
    return table(("strategy", "job", "exit code", "seconds", "found"), rows)


def profiles(found: list[dict[str, Any]]) -> list[str]:
    lines = []
    for result in found:
        lines += [
            f"A step takes {result['step_ms']:.1f} ms; the device is busy for {100 * result['busy']:.0f} % of it.",
            "",
        ]
        lines += table(
            ("operation", "ms a step", "calls a step", "share %"),
            (
                (
                    each["name"].replace("|", "/")[:70],
                    f"{each['ms_a_step']:.2f}",
                    f"{each['calls_a_step']:.0f}",
                    f"{100 * each['share']:.1f}",
                )
                for each in result["longest"][:LONGEST]
            ),
        )
    return lines


def loaders(found: list[dict[str, Any]]) -> list[str]:
    rates = ("read", "varied", "trained", "fed")
    head = ("threads", "read alone", "read and varied", "trained alone", "trained, fed by the loader")
    rows = [(str(each["threads"]), *(f"{each[f'{rate}_images_per_s']:,.0f}" for rate in rates)) for each in found]
    return ["Images a second.", "", *table(head, rows)]


def memories(found: list[dict[str, Any]]) -> list[str]:
    return [f"Exit code {each['exit_code']}: {' '.join(each['told'])}" for each in found]


SHOWN = {
    "attention": forms,
    "training step": forms,
    "chain": chains,
    "profile": profiles,
    "loader": loaders,
    "memory": memories,
}
