"""Fine-tuning: which layers of a trained network learn on, and what its batch norms do meanwhile."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Literal

import keras
from keras import layers

from keras_inception.arguments import check_choice
from keras_inception.graph import parents
from keras_inception.naming import is_part


def unfreeze(
    model: keras.Model,
    from_layer: str | None = None,
    batch_norm: Literal["frozen", "trainable"] = "frozen",
) -> list[layers.Layer]:
    """Lets a block of a network and all that follows it train, and freezes the rest.

    A batch norm that trains normalises by its batch and moves its statistics towards it. In a trained network both do
    harm when the new batches are few, small or of one kind: the features change before a single weight has moved.
    Frozen batch norms keep their statistics, and use them in training as well; that is the default here, for the layers
    that train too.

    Call it before `compile`: Keras reads which layers train when a model is compiled. Called again, it starts afresh.

    Args:
        model: A model of this package with its own classifier, or one built on it, flat or with it inside as one layer.
        from_layer: Name of the first block or layer to train (`keras_inception.graph.blocks` lists the blocks). What
            reads its output, directly or not, trains as well. None: all layers.
        batch_norm: `"frozen"` freezes every batch norm of the model; `"trainable"` lets those train whose block does.

    Returns:
        The layers that train, batch norms among them or not, in the order of the model.

    Raises:
        ValueError: No layer has that name, or `batch_norm` is neither of the two.
    """
    check_choice("batch_norm", batch_norm, ("frozen", "trainable"))
    chosen = {layer.name for layer in model.layers} if from_layer is None else _from(model, from_layer)
    model.trainable = True
    for layer in model.layers:
        layer.trainable = layer.name in chosen
        for leaf in _leaves(layer):
            if batch_norm == "frozen" and isinstance(leaf, layers.BatchNormalization):
                leaf.trainable = False
    return [leaf for layer in model.layers for leaf in _leaves(layer) if leaf.trainable_weights]


def _from(model: keras.Model, name: str) -> set[str]:
    """Names of the layers of a block (its name is their prefix) and of all layers downstream of it."""
    names = [layer.name for layer in model.layers]
    chosen = {other for other in names if is_part(other, name)}
    if not chosen:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"from_layer must be None or the name of a layer or block. Received: {name!r}.{hint}")
    for layer in model.layers:  # in topological order
        if any(parent.name in chosen for parent in parents(layer)):
            chosen.add(layer.name)
    return chosen


def _leaves(layer: layers.Layer) -> Iterator[layers.Layer]:
    """The layer, or those inside it where it is a model."""
    if isinstance(layer, keras.Model):
        for inner in layer.layers:
            yield from _leaves(inner)
    else:
        yield layer
