"""What a file of ours says of the weights in it: a weight set as text, and back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from keras_inception.numerics import Numerics
from keras_inception.preprocessing import Preprocessing
from keras_inception.registry import get_entry
from keras_inception.weights.errors import WeightsError
from keras_inception.weights.own import FORMAT
from keras_inception.weights.readers import open_weights, sniff
from keras_inception.weights.sets import WeightSet


def description(weight_set: WeightSet) -> dict[str, str]:
    """What a file of ours notes of the weight set that it was made from."""
    return {
        "weights": weight_set.tag,
        "network": weight_set.network,
        "arguments": json.dumps(dict(weight_set.arguments)),
        "numerics": json.dumps(dataclasses.asdict(weight_set.numerics)),
        "preprocessing": json.dumps(dataclasses.asdict(weight_set.preprocessing)),
        "licence": weight_set.licence,
        "url": weight_set.url,
    }


def described(path: Path) -> WeightSet | None:
    """What a file of ours says of itself, as a weight set; None for files that say nothing.

    Raises:
        WeightsError: It says what cannot be.
    """
    if sniff(path) not in ("safetensors", "hdf5"):
        return None
    with open_weights(path) as file:
        metadata, aux_heads = file.metadata, any(name.startswith("aux") for name in file.tensors)
    if metadata.get("format") != FORMAT or "network" not in metadata:
        return None
    try:
        preprocessing: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in json.loads(metadata["preprocessing"]).items()
        }
        return WeightSet(
            tag=path.name,
            network=get_entry(metadata["network"]).name,
            arguments=dict(json.loads(metadata["arguments"])),
            numerics=Numerics(**json.loads(metadata["numerics"])),
            url=metadata["url"],
            converter="",
            licence=metadata["licence"],
            preprocessing=Preprocessing(**preprocessing),
            aux_heads=aux_heads,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise WeightsError(
            f"A file of ours says what its weights are. Received: {path.name}, which does not."
        ) from error
