"""The state of torch's generators. Data never draw from them: they are keyed by (seed, epoch, sample)."""

import torch


def random_state() -> dict[str, torch.Tensor]:
    """State of this process's generators, on the CPU."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, torch.Tensor]) -> None:
    """The inverse of `random_state`."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
