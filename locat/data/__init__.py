"""Datasets as FFCV files: made, written, read from any position, augmented."""

import torch

_threads = torch.get_num_threads()

import ffcv  # noqa: E402, F401  its import sets torch to one thread, for the whole process

torch.set_num_threads(_threads)
