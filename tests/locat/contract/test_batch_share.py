import pytest

from locat.contract.batch_share import rank_batch_size
from locat.contract.errors import ConfigError


def test_ranks_take_equal_shares_of_a_batch() -> None:
    assert rank_batch_size(12, 3) == 4


def test_a_batch_that_ranks_cannot_share_names_both_numbers_and_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"^batch_size 10 cannot be shared evenly by 3 ranks; use a multiple of 3$"):
        rank_batch_size(10, 3)
    with pytest.raises(ConfigError, match=r"^batch_size 3 is smaller than the number of ranks \(4\)$"):
        rank_batch_size(3, 4)
