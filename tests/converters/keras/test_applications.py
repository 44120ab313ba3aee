"""Models of keras.applications with random weights against Keras."""

from __future__ import annotations

from typing import Any

import pytest

from tests.converters.keras.comparing import check, keras, layer_types


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("MobileNetV2", 64),
        pytest.param("ResNet50", 64, marks=pytest.mark.slow),
        pytest.param("ResNet50V2", 64, marks=pytest.mark.slow),
        pytest.param("EfficientNetB0", 64, marks=pytest.mark.slow),
        pytest.param("EfficientNetV2B0", 64, marks=pytest.mark.slow),
        pytest.param("DenseNet121", 64, marks=pytest.mark.slow),
        pytest.param("MobileNet", 64, marks=pytest.mark.slow),
        pytest.param("MobileNetV3Large", 64, marks=pytest.mark.slow),
        pytest.param("Xception", 96, marks=pytest.mark.slow),
        pytest.param("InceptionV3", 96, marks=pytest.mark.slow),
        pytest.param("ConvNeXtTiny", 64, marks=pytest.mark.slow),
    ],
)
def test_application(name: str, size: int) -> None:
    build: Any = getattr(keras.applications, name)
    converted = check(build(weights=None, input_shape=(size, size, 3), classes=10))
    if name != "ConvNeXtTiny":  # which normalizes the last axis
        assert layer_types(converted).count("transpose") == 1
