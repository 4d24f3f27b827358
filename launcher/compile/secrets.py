"""Secrets: named in a pipeline, held by the environment of the shell that submits, written nowhere."""

import os

from launcher.plan import Plan
from locat.contract.errors import ConfigError


def check(plan: Plan, from_shell: bool) -> None:
    """Raise ConfigError unless this shell has what the plan names, and the plan does not hold what this shell has.

    Where jobs do not take them `from_shell`, only the latter is looked at.
    """
    missing = [name for name in plan.secrets if not os.environ.get(name)]
    if missing and from_shell:
        raise ConfigError(f"{plan.pipeline}: not set in this shell: {', '.join(missing)}; export them first")
    text = plan.to_json()
    written = [name for name in plan.secrets if (value := os.environ.get(name)) and value in text]
    if written:
        raise ConfigError(f"{plan.pipeline}: the value of {', '.join(written)} is written in it; remove it")
