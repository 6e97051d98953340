"""Codes for users that a model does not know, from what they took and refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashrec.index.arrays.codes import BinaryCodes
from hashrec.index.arrays.seen import RowLists
from hashrec.index.artifacts.artifact import Artifact
from hashrec.index.errors import NoEncoderError
from hashrec.index.model.encoder import Encoder


def require_encoder(artifact: Artifact) -> Encoder:
    """Return what codes histories.

    Raises:
        NoEncoderError: the artifact is from before there were encoders.
    """
    if artifact.model.encoder is None:
        raise NoEncoderError(artifact.manifest.version)
    return artifact.model.encoder


def fold_in(
    artifact: Artifact,
    positives: RowLists,
    negatives: RowLists | None,
    weights: NDArray[np.integer[Any]] | None = None,
) -> BinaryCodes:
    """Return the code of each history.

    Args:
        artifact: with an encoder; its refiner, if it has one, mends the codes.
        positives: item rows that each user took.
        negatives: item rows that each user refused, as many lists; None is none.
        weights: strengths of the `positives.items`, in sixteenths; None if all are 1.

    Raises:
        NoEncoderError: the artifact is from before there were encoders.
    """
    model = artifact.model
    codes = require_encoder(artifact).users.encode(positives, negatives, weights)
    if model.refiner is None:
        return codes
    return model.refiner.refine(
        codes, positives, negatives, weights, item_codes=model.item_codes, index=artifact.index
    )
