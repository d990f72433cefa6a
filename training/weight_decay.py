"""Weight decay, and which weights it spares."""

import keras

from keras_inception.training.config import OptimizerConfig


def decayed(model: keras.Model, settings: OptimizerConfig) -> list[keras.Variable]:
    """The trainable weights that decay."""
    if settings.decay_spares == "nothing":
        return list(model.trainable_variables)
    vectors = [variable for variable in model.trainable_variables if len(variable.shape) > 1]
    if settings.decay_spares == "vectors":
        return vectors
    depthwise = {
        id(layer.depthwise_kernel if isinstance(layer, keras.layers.SeparableConv2D) else layer.kernel)
        for layer in model.layers
        if isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.SeparableConv2D)
    }
    return [variable for variable in vectors if id(variable) not in depthwise]


def add_penalty(model: keras.Model, settings: OptimizerConfig) -> None:
    """Adds half of `weight_decay` times the squared weights to the loss, where the configuration decays by `l2`.

    The penalty belongs to this model in memory: it is not saved with it.
    """
    if settings.decay == "l2" and settings.weight_decay:
        penalty = keras.regularizers.L2(settings.weight_decay / 2)
        for variable in decayed(model, settings):
            variable.regularizer = penalty
