"""Writes wiring.h5, wiring.keras and wiring.npz beside itself with Keras 2: run by hand with TensorFlow 2.13.

The model has what Keras 2 writes in its own way: nested and shared models, states handed to recurrent layers, tensors
in keywords, operators with constants, several inputs and outputs. wiring.npz holds its weights by the names of the
layers, found through the layers' attributes, two inputs, and what Keras computes from them.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

keras = tf.keras
layers = keras.layers
here = Path(__file__).parent

sequence, extra = keras.Input((6, 5), name="sequence"), keras.Input((3,), name="extra")
x = layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="both")(sequence)
x = layers.TimeDistributed(layers.Dense(7), name="each")(x)
x = layers.MultiHeadAttention(2, 3, name="attention")(x, value=x)
x, h, c = layers.LSTM(4, return_sequences=True, return_state=True, name="encoder")(x)
y = layers.LSTM(4, name="decoder")(x, initial_state=[h, c])
stack = layers.RNN([layers.LSTMCell(3, name="first"), layers.GRUCell(2, name="second")], name="stack")(x)
y = tf.concat([1.0 - (y * 2.0 + 1.0), extra], axis=-1)
inside = keras.Input((7,))
inner = keras.Model(inside, layers.BatchNormalization(name="norm")(layers.Dense(7, name="mix")(inside)), name="inner")
head = keras.Sequential(
    [layers.Dense(8, name="wide"), layers.Dropout(0.2), layers.Dense(7, name="narrow")], name="head"
)
tail = keras.Sequential([keras.Input((7,)), layers.Dense(2, name="last")], name="tail")
z = inner(y)
z = head(layers.Add(name="sum")([z, inner(z)]))
deep = layers.SeparableConv1D(3, 2, name="separable")(sequence)
deep = layers.DepthwiseConv1D(3, name="depthwise")(deep)
outputs = {"z": z, "tail": tail(inner(z)), "stack": stack, "deep": deep}
model = keras.Model([sequence, extra], outputs, name="wiring")

rng = np.random.default_rng(5)
for variable in model.variables:
    low = 0.5 if "variance" in variable.name else -0.5
    variable.assign(rng.uniform(low, 0.9, variable.shape))


def parts(name: str, layer, *names: str) -> dict:
    return {f"{name}/{part}": getattr(layer, part) for part in names}


def recurrent(name: str, cell) -> dict:
    return parts(name, cell, "kernel", "recurrent_kernel", "bias")


def dense(name: str, layer) -> dict:
    return parts(name, layer, "kernel", "bias")


layer = model.get_layer
attention, norm = layer("attention"), inner.get_layer("norm")
weights = {
    **recurrent("both/forward_lstm", layer("both").forward_layer.cell),
    **recurrent("both/backward_lstm", layer("both").backward_layer.cell),
    **dense("each/dense", layer("each").layer),
    **dense("attention/query", attention._query_dense),
    **dense("attention/key", attention._key_dense),
    **dense("attention/value", attention._value_dense),
    **dense("attention/attention_output", attention._output_dense),
    **recurrent("encoder", layer("encoder").cell),
    **recurrent("decoder", layer("decoder").cell),
    **recurrent("stack/stacked_rnn_cells/first", layer("stack").cell.cells[0]),
    **recurrent("stack/stacked_rnn_cells/second", layer("stack").cell.cells[1]),
    **dense("inner/mix", inner.get_layer("mix")),
    **parts("inner/norm", norm, "gamma", "beta", "moving_mean", "moving_variance"),
    **dense("head/wide", head.get_layer("wide")),
    **dense("head/narrow", head.get_layer("narrow")),
    **dense("tail/last", tail.get_layer("last")),
    **parts("separable", layer("separable"), "depthwise_kernel", "pointwise_kernel", "bias"),
    **parts("depthwise", layer("depthwise"), "depthwise_kernel", "bias"),
}
feeds = {"sequence": rng.normal(size=(1, 6, 5)), "extra": rng.normal(size=(1, 3))}
feeds = {name: value.astype(np.float32) for name, value in feeds.items()}
results = model([feeds["sequence"], feeds["extra"]])
np.savez(
    here / "wiring.npz",
    **{f"weight:{name}": variable.numpy() for name, variable in weights.items()},
    **{f"input:{name}": value for name, value in feeds.items()},
    **{f"output:{name}": value.numpy() for name, value in results.items()},
)
model.save(here / "wiring.h5")
model.save(here / "wiring.keras")
