"""What a user is told when a scheduler cannot do what was asked."""

from locat.contract.errors import UserError


class BackendError(UserError):
    """A scheduler refuses, does not answer, or has not done what it was asked."""
