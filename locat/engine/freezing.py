"""Which parameters of a model stay as they are at first: what `freeze` in a config names."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from locat.config.training import Freeze
from locat.contract.errors import ConfigError
from locat.contract.problems import did_you_mean


class Frozen:
    """The parameters of `model` that `freeze` names, in a training of `total` updates.

    Raises:
        ConfigError: a pattern matches nothing.
    """

    def __init__(self, freeze: Freeze | None, model: nn.Module, steps_per_epoch: int, total: int) -> None:
        self.names: set[str] = set()
        self.updates = 0
        if freeze is not None:
            self.names = matching(freeze.patterns, [name for name, _ in model.named_parameters()])
            self.updates = total if freeze.epochs is None else freeze.epochs * steps_per_epoch

    def until(self, name: str) -> int:
        """How many updates, the first ones, leave the parameter called `name` as it is."""
        return self.updates if name in self.names else 0


def matching(patterns: Sequence[str], names: Sequence[str]) -> set[str]:
    """The names that match one of the patterns; ConfigError if one matches nothing."""
    found: set[str] = set()
    for pattern in patterns:
        some = {name for name in names if fnmatchcase(name, pattern)}
        if not some:
            near = did_you_mean(pattern, names) or f"; they are called {names[0]}, ..., {names[-1]}"
            raise ConfigError(f"freeze.patterns: {pattern!r} matches none of the model's {len(names)} parameters{near}")
        found |= some
    return found
