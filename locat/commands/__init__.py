"""What `python -m locat` does besides running a job: one command a file; each imports torch only when it runs."""

from typing import Any

import click

from locat.commands.attention_maps import attention_maps
from locat.commands.export import export
from locat.commands.models import models
from locat.commands.predict import predict
from locat.contract.errors import JobError, UserError

COMMANDS: dict[str, click.Command] = {
    "predict": predict,
    "export": export,
    "models": models,
    "attention-maps": attention_maps,
}


class Commands(click.Group):
    """Users' mistakes end with exit code 2 and one sentence, what failed without one with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise click.UsageError(str(error), ctx) from error
        except JobError as error:
            raise click.ClickException(str(error)) from error


commands = Commands("locat", COMMANDS)
