"""The `launcher` command. A verb's file is imported when the verb is used, so that --help answers at once."""

import importlib
import os
import sys
from typing import IO, Any, NoReturn

import click

from launcher.view import streams
from locat.contract.errors import UserError
from locat.contract.text import printable, speak

VERBS = {
    "init": "Write a pipeline for your own images.",
    "submit": "Run a pipeline.",
    "validate": "Check a pipeline without running it.",
    "render": "Print what submit would give to the scheduler.",
    "list": "List all runs, newest first.",
    "status": "Show the status of a run.",
    "top": "Show the resources that all runs use now.",
    "logs": "Print or search the logs of a run.",
    "cancel": "Stop a run, or one of its jobs.",
    "retry": "Resume a run.",
    "sync": "Upload what did not reach MLflow.",
    "compare": "Compare the configs and metrics of jobs.",
    "diff": "Show the differences between two runs or jobs.",
    "report": "Write the paper's tables with a run's numbers beside them.",
    "push": "Share a job's model on the Hugging Face Hub.",
    "usage": "Show the GPU-hours and core-hours that runs have used.",
    "clean": "Delete checkpoints and copies of code that no job needs.",
    "ui": "Open the MLflow UI on a run.",
    "doctor": "Check that this machine can run pipelines.",
}
"""Every verb, in the order of a run's life; each is `command` in launcher/verbs/<verb>.py."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


class Mistake(click.ClickException):
    """A user's error: its message on stderr as it is, so that `file:line:column` comes first."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(printable(self.message), file=file, err=file is None)


class Verbs(click.Group):
    """The verbs, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"launcher.verbs.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            _check_folder()
            return super().invoke(ctx)
        except UserError as error:
            raise Mistake(str(error)) from error
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


@click.command(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    subcommand_metavar="VERB [ARGS]...",
    epilog='Shell completion: eval "$(_LAUNCHER_COMPLETE=bash_source launcher)" (or zsh_source, fish_source).',
)
@click.version_option(package_name="locat")
def cli() -> None:
    """Run pipelines of training jobs, and ask about them from any shell at any time.

    RUN is a run's name, the beginning of it, or left out for the newest run.
    """


def _check_folder() -> None:
    """Raise UserError if the folder that the shell is in was deleted: no path from there means anything."""
    try:
        os.getcwd()
    except OSError as error:
        raise UserError(f"the folder this shell is in is gone ({error.strerror}); `cd` to another one") from error


def main() -> NoReturn:
    """Run the verb that the command line names."""
    output = streams.prepare()
    speak()
    code: object = 1
    try:
        cli(prog_name="launcher")
    except SystemExit as ended:
        code = ended.code
    except OSError:
        if not output.trouble:
            raise
    streams.flush()
    if output.trouble:
        click.echo(f"what was printed could not be written: {output.trouble}", err=True)
        code = code or 1
    sys.exit(code if isinstance(code, int) else 0)
