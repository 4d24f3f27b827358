import pytest
from torch import nn

from locat.config.training import Freeze
from locat.contract.errors import ConfigError
from locat.engine.freezing import Frozen

MODEL = nn.ModuleDict({"stem": nn.Linear(2, 2), "blocks": nn.ModuleList([nn.Linear(2, 2) for _ in range(12)])})


def test_patterns_are_those_of_a_shell() -> None:
    frozen = Frozen(Freeze(patterns=["stem.*", "blocks.[0-5].weight"], epochs=2), MODEL, 10, 50)
    assert frozen.until("stem.bias") == frozen.until("blocks.5.weight") == 20
    assert frozen.until("blocks.5.bias") == frozen.until("blocks.10.weight") == 0
    assert Frozen(Freeze(patterns=["stem.*"]), MODEL, 10, 50).until("stem.weight") == 50
    assert Frozen(None, MODEL, 10, 50).until("stem.weight") == 0


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("stem", "'stem' matches none of the model's 26 parameters"),
        ("stem.wieght", "did you mean 'stem.weight'?"),
        ("x", "they are called stem.weight, ..., blocks.11.bias"),
    ],
)
def test_a_pattern_that_matches_nothing_is_named(pattern: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"^freeze.patterns: ") as refused:
        Frozen(Freeze(patterns=["blocks.*", pattern]), MODEL, 10, 50)
    assert words in str(refused.value)
