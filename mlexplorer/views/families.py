"""The family of a layer type, by which the drawings colour it.

One list of patterns over the names serves the NeuralNetwork layers, the ML Program operations and the model types
alike: their names are built from the same words.
"""

from __future__ import annotations

import re
from functools import cache

# The first pattern found in the type's name wins, so the special words come before the general ones.
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("custom", r"^custom"),
    ("unknown", r"^unknown$"),
    ("control", r"^(copy|branch|loop\w*|cond|while_loop|list_\w+|make_list|read_state|identity)$"),
    (
        "classic",
        r"classifier|regressor|recommender|vector|mapping|tagger|featureprint|gazetteer|preprocess|onehotencoder",
    ),
    (
        "classic",
        r"^(wordEmbedding|imputer|scaler|normalizer|linkedModel|serializedModel|arrayFeature\w*|classConfidence\w*)$",
    ),
    ("reduction", r"^reduce|^arg|^topk|^cum|average$"),
    ("reshaping", r"pad(ding)?$"),
    ("constant", r"^_?const|loadconstant|^fill|random|^range|categoricaldistribution"),
    ("recurrent", r"lstm|gru|rnn|recurrent"),
    ("normalization", r"norm|mvn|lrn|^scale$|^bias$"),
    ("resampling", r"upsample|resize|resample|crop|affine|shuffle|depth|reorganize"),
    ("convolution", r"conv"),
    ("pooling", r"pool"),
    ("dense", r"innerproduct|linear$|matmul|einsum|^dot$|embedding|attention|quantize$"),
    (
        "activation",
        r"activation|relu|softmax|sigmoid|^tanh$|_tanh$|elu$|softplus|softsign|clip|^unary$|threshold$|silu",
    ),
    ("reshaping", r"reshap|flatten|transpose|permute|squeeze|expand|concat|split|stack|slice|slicing|sliding|tile"),
    ("reshaping", r"gather|scatter|reverse|broadcastto|repeat|batch_to|to_batch|shape$|onehot|one_hot|where|select"),
)
_COMPILED = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _PATTERNS)

FAMILIES: tuple[str, ...] = (*dict.fromkeys(name for name, _ in _PATTERNS), "arithmetic", "network", "feature")


@cache
def family(layer_type: str) -> str:
    """The family of a layer, operation or model type: one of FAMILIES; "arithmetic" where no pattern knows it."""
    return next((name for name, pattern in _COMPILED if pattern.search(layer_type)), "arithmetic")
