"""`launcher push`."""

import re
import sys
from pathlib import Path
from typing import Any

import click

from launcher.sharing.card import card
from launcher.sharing.model import DESCRIPTION, HEAD, shared
from launcher.verbs.arguments import runs_option
from launcher.view.completion import complete_run
from locat.contract.errors import JobError
from locat.contract.text import printable

CARD = "README.md"
_PART = r"(?!.*(?:--|\.\.))[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9])?"
_REPOSITORY = re.compile(rf"hf:({_PART}/{_PART})(?<!\.git)", re.ASCII)
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}", re.ASCII)


class Repository(click.ParamType):  # type: ignore[type-arg]  # has none in older versions of click
    """OWNER/NAME, of hf:OWNER/NAME."""

    name = "repository"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if found := _REPOSITORY.fullmatch(value):
            return found[1]
        self.fail(f"{value!r} is no repository; write hf:OWNER/NAME", param, ctx)


class Licence(click.ParamType):  # type: ignore[type-arg]
    """The Hub's identifier of a licence, in lower case."""

    name = "licence"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if _LICENCE.fullmatch(lower := str(value).lower()):
            return lower
        self.fail(f"{value!r} names no licence; write one as apache-2.0, mit, cc-by-4.0 or other", param, ctx)


@click.command("push")
@click.argument("reference", metavar="RUN/JOB", shell_complete=complete_run)
@click.argument("repository", metavar="hf:OWNER/NAME", type=Repository())
@click.option(
    "--licence",
    "--license",
    "licence",
    metavar="ID",
    required=True,
    type=Licence(),
    help="Licence of the model: apache-2.0, mit, cc-by-4.0, other ...",
)
@click.option("--private", is_flag=True, help="Create a repository that only its owner can see.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent, and send nothing.")
@runs_option
def command(reference: str, repository: str, licence: str, private: bool, dry_run: bool, runs: Path) -> None:
    """Share the model of a done job on the Hugging Face Hub, or on the server that HF_ENDPOINT names.

    Uploads weights, timm's config.json, the head of a segmentation model, and a card written from the run, in one
    commit. HF_TOKEN holds the token. Exits with code 1 if the Hub fails; push again to send the rest.
    """
    model = shared(runs, reference)
    files: dict[str, Path | bytes] = {**model.files, CARD: (text := card(model, repository, licence)).encode()}
    sizes = {name: len(file) if isinstance(file, bytes) else file.stat().st_size for name, file in files.items()}
    if dry_run:
        click.echo(f"hf:{repository} would get:")
        for name, size in sizes.items():
            click.echo(f"  {name:20}{_size(size):>10}")
        click.echo(f"\n{printable(text)}", nl=False)
        return
    from launcher.sharing import hub  # half a second

    message = f"Model of {model.job.name}"
    try:
        done = hub.push(
            repository, files, (HEAD, DESCRIPTION), message, private, lambda line: click.echo(line, err=True)
        )
    except JobError as error:
        click.echo(printable(str(error)), err=True)
        sys.exit(1)
    if not done.commit:
        click.echo(f"nothing to push: {done.url} has all of it")
        return
    click.echo(f"pushed {_size(sum(sizes.values()))} to {done.url}, commit {done.commit[:12]}: {', '.join(files)}")
    if done.removed:
        click.echo(f"removed from there, since this model has none: {', '.join(done.removed)}")


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
