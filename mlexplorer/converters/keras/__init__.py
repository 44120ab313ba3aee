"""Keras models, read and converted without Keras."""
