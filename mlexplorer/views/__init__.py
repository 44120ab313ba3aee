"""Views of a model in a notebook: graph, controls, preview, histogram, curve, and the explorer that composes them."""
