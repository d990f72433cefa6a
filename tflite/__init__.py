"""Export of a trained network to SavedModel and TFLite, and the proof that it is the same network."""
