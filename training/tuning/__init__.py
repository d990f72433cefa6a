"""Searches with Keras Tuner."""
