"""How good a trained network is: `evaluate.evaluate`."""
