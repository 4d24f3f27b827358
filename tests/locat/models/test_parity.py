"""The released implementation: its names, its weights' logits and features."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

import locat.models  # noqa: F401
from support.model_reference import fill_for_parity, parity_images

PARITY = Path(__file__).parents[2] / "data" / "parity"
NAMES = json.loads((PARITY / "names.json").read_text())
REPEATED = re.compile(r"blocks\.[1-9]|layers\.[1-9]\.blocks|layers\.0\.blocks\.[2-9]")
"""Blocks for which others stand in names.json."""


@pytest.fixture(scope="module")
def released():
    return np.load(PARITY / "locatvit_tiny.npz")


@pytest.fixture(scope="module")
def model():
    model = timm.create_model("locatvit_tiny").eval()
    fill_for_parity(model)
    return model


def test_state_dict_has_exactly_the_released_names(model, released):
    assert sorted(model.state_dict()) == sorted(released["keys"])


def test_logits_are_the_released_ones(model, released):
    with torch.no_grad():
        logits = model(parity_images(224, 224)).numpy()
    assert np.abs(logits - released["logits_224x224"]).max() < 2e-4


def test_features_of_the_last_block_are_the_released_ones(model, released):
    with torch.no_grad():
        features = model.forward_intermediates(parity_images(224, 224), indices=1, intermediates_only=True)[0]
    every = features.shape[1] // 16
    assert np.abs(features[:, ::every].numpy() - released["features_224x224"]).max() < 2e-4


@pytest.mark.parametrize("name", NAMES)
def test_every_family_has_the_released_names(name):
    registered, _, option = name.partition("@")
    options = {"reg4": {"reg_tokens": 4}, "nope": {"pos_embed": "none"}, "": {}}
    with torch.device("meta"):
        model = timm.create_model(registered, **options[option])
    assert sorted(key for key in model.state_dict() if not REPEATED.match(key)) == sorted(NAMES[name])
