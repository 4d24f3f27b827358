"""How a batch is shared by ranks: checked when a pipeline is compiled, and again by the job."""

from locat.contract.errors import ConfigError


def rank_batch_size(batch_size: int, ranks: int) -> int:
    """Images of a full batch that one rank takes.

    Raises:
        ConfigError: there is none for each rank, or the ranks cannot share the batch evenly.
    """
    if batch_size < ranks:
        raise ConfigError(f"batch_size {batch_size} is smaller than the number of ranks ({ranks})")
    if batch_size % ranks:
        raise ConfigError(
            f"batch_size {batch_size} cannot be shared evenly by {ranks} ranks; use a multiple of {ranks}"
        )
    return batch_size // ranks
