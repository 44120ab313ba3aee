"""Recurrent layers against Keras: Core ML's own, and those that are written out step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from tests.converters.keras.comparing import check, keras, layer_types, random_input, randomize, sequential

L = keras.layers

SEQUENCE = (7, 4)
NATIVE = {"SimpleRNN": "simpleRecurrent", "LSTM": "uniDirectionalLSTM", "GRU": "gru"}


def made(kind: str, units: int = 5, **arguments: Any) -> Any:
    if kind == "GRU":
        arguments = {"reset_after": False, **arguments}
    return getattr(L, kind)(units, **arguments)


@pytest.mark.parametrize("kind", NATIVE)
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"return_sequences": True},
        {"go_backwards": True, "return_sequences": True},
        {"use_bias": False},
        {"activation": "relu", "return_state": True},
        {"activation": "linear", "return_sequences": True},
    ],
)
def test_native_layer(kind: str, arguments: dict[str, Any]) -> None:
    converted = check(sequential_or_functional(made(kind, **arguments)))
    assert NATIVE[kind] in layer_types(converted)


def sequential_or_functional(layer: Any) -> Any:
    inputs = keras.Input(SEQUENCE)
    return keras.Model(inputs, layer(inputs))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("recurrent_activation", ["hard_sigmoid", "relu", "tanh"])
def test_recurrent_activation(kind: str, recurrent_activation: str) -> None:
    check(sequential_or_functional(made(kind, recurrent_activation=recurrent_activation, return_sequences=True)))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"return_sequences": True},
        {"use_bias": False, "return_state": True},
        {"go_backwards": True, "return_sequences": True},
        {"recurrent_activation": "hard_sigmoid", "activation": "softsign"},
    ],
)
def test_gru_that_resets_after_its_kernel(arguments: dict[str, Any]) -> None:
    converted = check(sequential_or_functional(L.GRU(5, reset_after=True, **arguments)))
    assert layer_types(converted).count("batchedMatmul") == SEQUENCE[0]
    assert layer_types(converted).count("loadConstantND") == 1 + arguments.get("use_bias", True)


@pytest.mark.parametrize("kind", NATIVE)
def test_other_activations_are_written_out(kind: str) -> None:
    converted = check(sequential_or_functional(made(kind, activation="softsign", return_state=True)))
    assert NATIVE[kind] not in layer_types(converted)


@pytest.mark.parametrize("kind", NATIVE)
@pytest.mark.parametrize("reset_after", [False, True])
def test_initial_state(kind: str, reset_after: bool) -> None:
    count = 2 if kind == "LSTM" else 1
    inputs, states = keras.Input(SEQUENCE), [keras.Input((5,)) for _ in range(count)]
    arguments = {"reset_after": reset_after} if kind == "GRU" else {"activation": "softsign" if reset_after else "tanh"}
    outputs = getattr(L, kind)(5, return_state=True, return_sequences=True, **arguments)(inputs, initial_state=states)
    check(keras.Model([inputs, *states], outputs))


def test_encoder_and_decoder_share_states() -> None:
    first, second = keras.Input((6, 3)), keras.Input((4, 5))
    _, h, c = L.LSTM(7, return_state=True)(first)
    outputs = L.LSTM(7, return_sequences=True)(second, initial_state=[h, c])
    check(keras.Model([first, second], L.Dense(2, activation="softmax")(outputs)))


@pytest.mark.parametrize("kind", NATIVE)
@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("whole", [False, True])
def test_bidirectional(kind: str, mode: str | None, whole: bool) -> None:
    inputs = keras.Input(SEQUENCE)
    layer = L.Bidirectional(made(kind, return_sequences=whole), merge_mode=mode)
    converted = check(keras.Model(inputs, layer(inputs)))
    assert ("biDirectionalLSTM" in layer_types(converted)) == (kind == "LSTM" and mode == "concat")


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("mode", ["concat", "sum"])
def test_bidirectional_states(kind: str, mode: str) -> None:
    inputs = keras.Input(SEQUENCE)
    first = L.Bidirectional(made(kind, return_sequences=True, return_state=True), merge_mode=mode)(inputs)
    second = L.Bidirectional(L.GRU(5) if kind == "GRU" else L.LSTM(5))(first[0], initial_state=first[1:])
    check(keras.Model(inputs, [*first, second]))


def test_bidirectional_of_two_different_layers() -> None:
    inputs = keras.Input(SEQUENCE)
    layer = L.Bidirectional(
        L.LSTM(5, return_sequences=True), backward_layer=L.GRU(3, return_sequences=True, go_backwards=True)
    )
    check(keras.Model(inputs, layer(inputs)))


@pytest.mark.parametrize("cell", [L.SimpleRNNCell, L.LSTMCell, L.GRUCell])
def test_cells(cell: Any) -> None:
    check(sequential_or_functional(L.RNN(cell(5), return_sequences=True, return_state=True)))
    check(sequential_or_functional(L.RNN([cell(5), cell(6)], return_sequences=True)))
    check(sequential_or_functional(L.RNN([cell(5), L.LSTMCell(3)], go_backwards=True, return_state=True)))


MASKED = np.array([[0, 4, 3, 0, 7, 1, 0, 0]], np.float32)


@pytest.mark.parametrize("kind", [*NATIVE, "reset_after"])
@pytest.mark.parametrize("arguments", [{}, {"return_sequences": True}, {"go_backwards": True, "return_state": True}])
def test_masked_steps_are_skipped(kind: str, arguments: dict[str, Any]) -> None:
    inputs = keras.Input((8,))
    layer = L.GRU(5, **arguments) if kind == "reset_after" else made(kind, **arguments)
    check(keras.Model(inputs, layer(L.Embedding(9, 4, mask_zero=True)(inputs))), [MASKED])


def test_masks_go_through_layers_and_directions() -> None:
    inputs = keras.Input((8,))
    x = L.Embedding(9, 4, mask_zero=True)(inputs)
    x = L.Dropout(0.2)(L.Dense(6, activation="relu")(x))
    x = L.Bidirectional(L.LSTM(5, return_sequences=True))(x)
    check(keras.Model(inputs, L.LSTM(3)(L.Add()([x, L.LayerNormalization()(x)]))), [MASKED])


def test_masks_that_meet() -> None:
    inputs = [keras.Input((8,)), keras.Input((8,))]
    first, second = (L.Embedding(9, 4, mask_zero=True)(value) for value in inputs)
    other = np.array([[2, 0, 0, 5, 1, 1, 0, 8]], np.float32)
    check(keras.Model(inputs, L.LSTM(3)(L.Add()([first, second]))), [MASKED, other])
    check(keras.Model(inputs, L.GRU(3)(L.Concatenate()([first, second]))), [MASKED, other])


def test_masked_steps_with_given_states() -> None:
    inputs, state = keras.Input((8,)), keras.Input((5,))
    x = L.Embedding(9, 4, mask_zero=True)(inputs)
    outputs = L.GRU(5, return_sequences=True, return_state=True)(x, initial_state=state)
    check(keras.Model([inputs, state], outputs), [MASKED, random_input((1, 5))])


def test_unused_masks_cost_nothing() -> None:
    model = sequential(L.Embedding(9, 4, mask_zero=True), L.Dense(3), L.Flatten(), L.Dense(2), shape=(8,))
    assert "notEqual" not in layer_types(check(model, [MASKED]))


@pytest.mark.parametrize(
    ("inner", "shape"),
    [
        (lambda: L.Dense(3, activation="relu"), (6, 5)),
        (lambda: L.Conv2D(3, 2), (6, 7, 5, 2)),
        (lambda: L.LSTM(3), (6, 7, 5)),
        (lambda: L.GRU(3), (4, 7, 5)),
        (lambda: L.Flatten(), (6, 7, 5, 2)),
        (lambda: L.GlobalAveragePooling2D(), (6, 7, 5, 2)),
        (lambda: keras.Sequential([L.Conv1D(3, 2), L.BatchNormalization(), L.GlobalMaxPooling1D()]), (6, 7, 5)),
    ],
)
def test_time_distributed(inner: Any, shape: tuple[int, ...]) -> None:
    check(sequential(L.TimeDistributed(inner()), shape=shape))


def test_stateful_layers_are_refused() -> None:
    inputs = keras.Input(batch_shape=(1, *SEQUENCE))
    with pytest.raises(mle.errors.UnsupportedError, match=r"'memory'.*stateful.*initial_state"):
        mle.convert(keras.Model(inputs, L.LSTM(3, stateful=True, name="memory")(inputs)))


def test_very_long_sequences_are_not_written_out() -> None:
    with pytest.raises(mle.errors.UnsupportedError, match=r"'slow'.*3000 steps"):
        mle.convert(sequential(L.GRU(2, name="slow"), shape=(3000, 3)))
    check(sequential(made("LSTM"), shape=(300, 3)))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda **more: L.ConvLSTM1D(4, 3, **more), (5, 11, 3)),
        (lambda **more: L.ConvLSTM1D(4, 2, padding="same", dilation_rate=2, use_bias=False, **more), (5, 11, 3)),
        (lambda **more: L.ConvLSTM2D(4, (3, 2), **more), (5, 9, 7, 3)),
        (lambda **more: L.ConvLSTM2D(4, (2, 4), padding="same", strides=(2, 1), **more), (5, 9, 7, 3)),
        (
            lambda **more: L.ConvLSTM2D(4, 3, activation="relu", recurrent_activation="hard_sigmoid", **more),
            (1, 9, 7, 3),
        ),
        (lambda **more: L.ConvLSTM2D(4, (3, 2), data_format="channels_first", **more), (5, 3, 9, 7)),
        (lambda **more: L.ConvLSTM1D(4, 2, data_format="channels_first", **more), (5, 3, 11)),
    ],
)
def test_lstm_of_convolutions(layer: Any, shape: tuple[int, ...]) -> None:
    check(sequential(layer(), shape=shape))
    inputs = keras.Input(shape)
    check(keras.Model(inputs, layer(return_sequences=True, return_state=True, go_backwards=True)(inputs)))
    state = keras.Input(layer()(inputs).shape[1:])
    outputs = layer(return_sequences=True)(inputs, initial_state=[state, state])
    converted = check(keras.Model([inputs, state], outputs))
    assert layer_types(converted).count("convolution") == 1 + shape[0]
    assert layer_types(converted).count("loadConstantND") == 1


@pytest.mark.parametrize("mode", ["concat", "sum", None])
@pytest.mark.parametrize("whole", [False, True])
def test_lstm_of_convolutions_in_both_directions(mode: str | None, whole: bool) -> None:
    inputs = keras.Input((4, 7, 9, 3))
    layer = L.Bidirectional(L.ConvLSTM2D(5, (3, 2), return_sequences=whole), merge_mode=mode)
    check(keras.Model(inputs, layer(inputs)))


def test_lstm_of_convolutions_in_batches() -> None:
    model = randomize(sequential(L.ConvLSTM2D(4, (3, 2), return_sequences=True), shape=(5, 9, 7, 3)))
    converted = mle.convert(model, input_name_shape_dict={"x": (2, 5, 9, 7, 3)})
    check(model, [random_input((2, 5, 9, 7, 3))], converted=converted)


def test_lstm_of_convolutions_is_refused_where_it_would_be_too_long_or_remember() -> None:
    with pytest.raises(mle.errors.UnsupportedError, match=r"'slow'.*501 steps .* 500 are the most"):
        mle.convert(sequential(L.ConvLSTM1D(2, 1, name="slow"), shape=(501, 3, 1)))
    inputs = keras.Input(batch_shape=(1, 5, 11, 3))
    with pytest.raises(mle.errors.UnsupportedError, match=r"'memory'.*stateful"):
        mle.convert(keras.Model(inputs, L.ConvLSTM1D(2, 3, stateful=True, name="memory")(inputs)))


def test_text_model() -> None:
    words = np.random.default_rng(3).integers(1, 50, (1, 20)).astype(np.float32)
    layers = [L.Embedding(50, 8), L.SpatialDropout1D(0.2), L.Bidirectional(L.LSTM(6, return_sequences=True)), L.LSTM(5)]
    check(sequential(*layers, L.Dense(4, activation="softmax"), shape=(20,)), [words])
