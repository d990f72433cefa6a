"""From a trained Keras network to the networks that are written: Keras in, Keras out."""
