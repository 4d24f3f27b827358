"""DeepSpeed checkpoints of N ranks, taken up by any other number of ranks.

ZeRO cuts flat buffers of weights, moments and float32 copies at places that depend on the number of ranks. Here the
pieces of all ranks are joined by the name of the parameter and cut anew; the folder is only read. DeepSpeed's own way,
`ds_to_universal`, knows no SGD and no buffers, and with ZeRO-3 gives all parameter groups the first one's weight decay
and counts steps once for every sub group (tried with 0.19.8).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from locat.engine.strategies.zero_reading import read_states

WEIGHTS = "fp32"
"""Beside the optimizer's own names (exp_avg, ...): the weights."""


@dataclass(frozen=True)
class Whole:
    """What all ranks have saved together."""

    tensors: dict[str, dict[str, Tensor]]
    """Parameter -> WEIGHTS or the optimizer's name -> all of it, flat."""
    scalars: dict[str, dict[str, Any]]
    """Parameter -> what the optimizer keeps beside tensors: its step, which differs where some were frozen."""
    groups: list[dict[str, Any]]
    """The optimizer's parameter groups."""
    engine: dict[str, Any]
    """What the first rank's engine has saved: buffers and counters."""


def load_resharded(engine: Any, folder: Path) -> None:
    """Put what is in `folder`, written by any number of ranks, into a DeepSpeed engine; every rank must call it.

    Raises:
        JobError: a file asks for something that is not data.
    """
    whole = read_whole(folder)
    zero, is_stage_3 = engine.optimizer, engine.zero_optimization_stage() == 3
    if is_stage_3:
        zero.checkpoint_event_prologue()
    mine = _cut(engine, whole)
    own = zero.state_dict()
    own.update(_in_zeros_words(zero, whole, mine, is_stage_3))
    zero.load_state_dict([None] * engine.global_rank + [own], load_from_fp32_weights=True)
    buffers = whole.engine["module"]
    with torch.no_grad():
        for name, buffer in engine.module.named_buffers():
            if name in buffers:
                buffer.copy_(buffers[name])
    if is_stage_3:
        zero.checkpoint_event_epilogue()
    else:
        zero.update_lp_params()
    for counter in ("global_steps", "skipped_steps", "global_samples"):
        setattr(engine, counter, whole.engine[counter])


def read_whole(folder: Path) -> Whole:
    """Join what each rank has saved."""
    optimizers = [
        read_states(path, mmap=True)["optimizer_state_dict"] for path in _by_rank(folder, "*_optim_states.pt")
    ]
    engine = read_states(_by_rank(folder, "*_model_states.pt")[0], mmap=True)
    shapes = {name: shape for group in engine["param_shapes"] for name, shape in group.items()}
    pieces: dict[str, dict[str, list[Tensor]]] = {name: {} for name in shapes}
    scalars: dict[str, dict[str, Any]] = {}
    for saved in optimizers:
        base, flats, cuts = _flats(saved, engine["param_shapes"], len(optimizers))
        for number, (flat, where) in enumerate(zip(flats, cuts, strict=True)):
            state = base["state"].get(number, {})
            tensors = {key: value for key, value in state.items() if torch.is_tensor(value) and value.ndim}
            beside = {key: value for key, value in state.items() if key not in tensors}
            scalars |= {name: beside for name in where}
            for key, values in {WEIGHTS: flat, **tensors}.items():
                for name, (first, count) in where.items():
                    pieces[name].setdefault(key, []).append(values.detach()[first : first + count])
    whole = {
        name: {key: torch.cat(parts)[: shapes[name].numel()] for key, parts in found.items()}
        for name, found in pieces.items()
    }
    assert all(len(value) == shapes[name].numel() for name, found in whole.items() for value in found.values())
    return Whole(whole, scalars, base["param_groups"], engine)


Cut = dict[str, tuple[int, int]]
"""Of a flat buffer: parameter -> where its piece begins, and how much is there."""


def _flats(
    saved: dict[str, Any], shapes: list[dict[str, Any]], ranks: int
) -> tuple[dict[str, Any], list[Tensor], list[Cut]]:
    """A rank's optimizer state, its flat buffers of weights, and how each is cut."""
    if int(saved["zero_stage"]) != 3:
        cuts = [{name: (at.start, at.numel) for name, at in group.items()} for group in saved["param_slice_mappings"]]
        return saved["base_optimizer_state"], saved["single_partition_of_fp32_groups"], cuts
    cuts = []
    for group in shapes:
        first, cut = 0, {}
        for name, shape in group.items():
            count = -(-shape.numel() // ranks)  # the last ranks' pieces are padded
            cut[name] = (first, count)
            first += count
        cuts.append(cut)
    return saved["optimizer_state_dict"], saved["fp32_flat_groups"], cuts


def _cut(engine: Any, whole: Whole) -> list[dict[str, Any]]:
    """This rank's flat buffers: of each, WEIGHTS and the optimizer's state."""
    zero, rank, is_stage_3 = engine.optimizer, engine.global_rank, engine.zero_optimization_stage() == 3
    groups = zero.fp16_groups if is_stage_3 else zero.bit16_groups
    flats = zero.fp32_partitioned_groups_flat if is_stage_3 else zero.single_partition_of_fp32_groups
    keys = {WEIGHTS}.union(*whole.tensors.values())
    found = []
    for parameters, flat in zip(groups, flats, strict=True):
        mine: dict[str, Any] = {key: torch.zeros(flat.numel()) for key in keys}
        offset = 0
        for parameter in parameters:
            if is_stage_3:
                size = parameter.partition_numel()
                source, target = rank * size, offset
                count = max(0, min(size, parameter.ds_numel - source))
                offset += size
            elif parameter._hp_mapping is None:
                continue  # all of it is on other ranks
            else:
                fragment = parameter._hp_mapping
                source, count = fragment.lp_fragment_address.start, fragment.lp_fragment_address.numel
                target = fragment.hp_fragment_address.start
            for key, values in whole.tensors[engine.param_names[parameter]].items():
                mine[key][target : target + count] = values[source : source + count]
        for key, value in whole.scalars[engine.param_names[parameters[0]]].items():  # a step for each: counted in place
            mine[key] = value.clone() if torch.is_tensor(value) else value
        found.append(mine)
    return found


def _in_zeros_words(zero: Any, whole: Whole, mine: list[dict[str, Any]], is_stage_3: bool) -> dict[str, Any]:
    """The entries of ZeRO's state dict that hold weights and optimizer."""
    weights = [flat.pop(WEIGHTS) for flat in mine]
    state = {number: flat for number, flat in enumerate(mine) if flat}
    owner = zero.sub_group_to_group_id if is_stage_3 else {number: number for number in range(len(mine))}
    groups = [
        {**group, "params": [flat for flat in range(len(mine)) if owner[flat] == number]}
        for number, group in enumerate(whole.groups)
    ]
    packed = {"state": state, "param_groups": groups}
    if is_stage_3:
        return {"optimizer_state_dict": packed, "fp32_flat_groups": weights}
    return {"base_optimizer_state": packed, "single_partition_of_fp32_groups": weights}


def _by_rank(folder: Path, pattern: str) -> list[Path]:
    """The files of a pattern, rank 10 after rank 9."""

    def rank(path: Path) -> int:
        found = re.search(r"zero_pp_rank_(\d+)_", path.name)
        return int(found[1]) if found else 0

    return sorted(folder.glob(pattern), key=rank)
