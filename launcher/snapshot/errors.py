"""Why code cannot be kept."""

from locat.contract.errors import UserError


class SnapshotError(UserError):
    """What jobs import cannot be copied, or a copy is gone."""
