"""Fine-tuning: which layers of a trained network learn on, and what its batch norms do meanwhile."""

from __future__ import annotations

import difflib
from typing import Literal

import keras
from keras import layers

from keras_inception.arguments import check_choice
from keras_inception.graph import leaves, parents
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
            reads its output, directly or not, trains as well; in a network that is one layer of the model, and behind
            it. None: all layers.
        batch_norm: `"frozen"` freezes every batch norm of the model; `"trainable"` lets those train whose block does.

    Returns:
        The layers that train, batch norms among them or not, in the order of the model.

    Raises:
        ValueError: No layer has that name, or `batch_norm` is neither of the two.
    """
    check_choice("batch_norm", batch_norm, ("frozen", "trainable"))
    model.trainable = True
    if from_layer is not None:
        _train_from(model, from_layer)
    every = list(leaves(model))
    if batch_norm == "frozen":
        for leaf in every:
            if isinstance(leaf, layers.BatchNormalization):
                leaf.trainable = False
    return [leaf for leaf in every if leaf.trainable_weights]


def _train_from(model: keras.Model, name: str) -> None:
    """Freezes what is not in a block (its name is the prefix of its layers') and not downstream of it."""
    chosen = {layer.name for layer in model.layers if is_part(layer.name, name)}
    inner = None if chosen else next((layer for layer in model.layers if _holds(layer, name)), None)
    if inner is not None:
        chosen = {inner.name}
    if not chosen:
        close = difflib.get_close_matches(name, [layer.name for layer in (*model.layers, *leaves(model))], n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"from_layer must be None or the name of a layer or block. Received: {name!r}.{hint}")
    for layer in model.layers:  # in topological order
        if any(parent.name in chosen for parent in parents(layer)):
            chosen.add(layer.name)
        layer.trainable = layer.name in chosen
    if inner is not None:
        _train_from(inner, name)


def _holds(layer: layers.Layer, name: str) -> bool:
    return isinstance(layer, keras.Model) and any(
        is_part(part.name, name) or _holds(part, name) for part in layer.layers
    )
