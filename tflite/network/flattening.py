"""Models inside a model, such as the trunk of a transfer-learned network, laid out among its own layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from .graph import copied, recreated


def flattened(model: keras.Model) -> keras.Model:
    """Returns a float32 copy without models among its layers; the model itself where there are none.

    What looks at a network layer by layer, such as the folding of batch norms and the rounding of weights, sees no
    further than a model that is called like a layer. Inner layers keep their names, behind the model's where another
    bears one already. Sub-classed models stay what they are.
    """
    if not any(_graph(layer) is not None for layer in model.layers):
        return model
    whole = _graph(model)
    taken = {operation.name for operation in whole.operations}
    copies: list[tuple[Any, Any]] = []

    def clone(layer: Any, owner: Any = None) -> Any:
        graph = _graph(layer)
        if graph is not None:
            return keras.models.clone_model(graph, clone_function=cloning_for(layer), call_function=call)
        name = layer.name
        while owner is not None and name in taken:
            name = f"{owner.name}_{name}"
        taken.add(name)
        copies.append((layer, recreated(layer, name=name)))
        return copies[-1][1]

    def cloning_for(owner: Any) -> Callable[[Any], Any]:
        return lambda layer: clone(layer, owner)

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        # The options, such as training=False, are about what no layer does at inference.
        return layer._run_through_graph(inputs) if _graph(layer) is not None else layer(*inputs, **options)

    flat = keras.models.clone_model(whole, clone_function=clone, call_function=call)
    for layer, copy in copies:
        if getattr(layer, "weights", None):
            copy.set_weights(layer.get_weights())
    # A copy once more: in `flat`, inner layers remember the calls inside their old model as well.
    return copied(flat)


def _graph(layer: Any) -> Any:
    """The functional model that a layer is or, like a Sequential, has; else None."""
    if not isinstance(layer, keras.Model):
        return None
    functional = getattr(layer, "_functional", layer)
    return functional if hasattr(functional, "operations") else None
