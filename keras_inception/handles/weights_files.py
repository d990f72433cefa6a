"""Which network a weights file is of, by its content or else by its name."""

from __future__ import annotations

from pathlib import Path

from keras_inception.weights.catalogue import PREFERRED
from keras_inception.weights.fitting import find


def network_of(source: str) -> str:
    """Registry id of the network that a tag or a weights file is of.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Neither its content nor its name tells.
    """
    found = find(source)
    if found.weight_set is not None:
        return found.weight_set.network
    stem = Path(source).stem.lower().replace("-", "_")
    fitting = [name for name in PREFERRED if name in stem or name.replace("_", "") in stem.replace("_", "")]
    if not fitting:
        raise ValueError(
            "A weights file tells its network by its content or its name, else by NETWORK --weights FILE or as "
            f"NETWORK={source}. Received: {source}, networks {', '.join(PREFERRED)}"
        )
    return max(fitting, key=len)
