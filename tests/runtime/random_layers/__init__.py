"""What proposes layers of each type, with random options that fit the blobs there are; see `random_networks`."""

from __future__ import annotations

from tests.runtime.random_layers import (  # noqa: F401 - each registers its layer types
    control_flow,
    elements,
    images,
    recurrent,
    shapes,
    windows,
)
