"""What a user is told about runs."""

from locat.contract.errors import UserError


class RunError(UserError):
    """A run, or a job of it, cannot be found, or a run cannot be created or taken over from here."""


class RunDeletedError(RunError):
    """A run was there a moment ago, and was deleted meanwhile."""
