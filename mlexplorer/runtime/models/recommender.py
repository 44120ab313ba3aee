"""Recommendation by what goes with what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import InputError, ModelError
from mlexplorer.model import Model
from mlexplorer.runtime.model_type import Values, evaluates

Array = NDArray[Any]

_LISTS = ("sequence", "multiArray")


@evaluates("itemSimilarityRecommender")
def item_similarity_recommender(model: Model) -> Callable[[Values], Values]:
    """The items that are most similar to those chosen, and their scores (ItemSimilarityRecommender).

    The score of an item is the sum, over the chosen items, of its similarity to the chosen item times (the chosen
    item's rating less the item's own itemScoreAdjustment). The chosen items come as a dictionary from item to rating,
    or as a list or an array of items, each with the rating 1. Items are the texts or numbers that the model gives them,
    else 0, 1, ... Recommended are all items, or as many as an input says, best first, equal ones by number: without
    those that an input excludes, or else without the chosen ones, and only those that an input restricts them to.
    """
    message = model.spec.itemSimilarityRecommender
    table = _Table(message)
    chosen_name = _chosen_name(model, message)
    _check_features(model, message, chosen_name)

    def evaluate(values: Values) -> Values:
        ratings = _ratings(table, chosen_name, values[chosen_name])
        scores = table.scores(ratings)
        allowed = np.ones(len(table.ids), bool)
        restricted = _listed(table, message.itemRestrictionInputFeatureName, values)
        if restricted is not None:
            allowed[:] = False
            allowed[restricted] = True
        excluded = _listed(table, message.itemExclusionInputFeatureName, values)
        allowed[list(ratings) if excluded is None else excluded] = False
        best = np.flatnonzero(allowed)
        best = best[np.argsort(-scores[best], kind="stable")][: _number(message, values)]
        items = [table.ids[position] for position in best]
        result: Values = {
            message.recommendedItemListOutputFeatureName: items,
            message.recommendedItemScoreOutputFeatureName: dict(zip(items, scores[best].tolist(), strict=True)),
        }
        result.pop("", None)
        return result

    return evaluate


class _Table:
    """The similarities as rows of (chosen item, similar item, similarity), sorted by chosen item."""

    def __init__(self, message: Any) -> None:
        entries = [
            (row.itemId, similar.itemId, similar.similarityScore)
            for row in message.itemItemSimilarities
            for similar in row.similarItemList
        ]
        named = {row.itemId for row in message.itemItemSimilarities} | {entry[1] for entry in entries}
        self.ids = _ids(message, named)
        self.positions = {item: position for position, item in enumerate(self.ids)}
        entries.sort(key=lambda entry: entry[0])
        self._similar = np.array([entry[1] for entry in entries], np.int64)
        self._similarities = np.array([entry[2] for entry in entries], np.float64)
        self._starts = np.searchsorted([entry[0] for entry in entries], np.arange(len(self.ids) + 1))
        self._adjustments = np.zeros(len(self.ids))
        for row in message.itemItemSimilarities:
            if row.itemScoreAdjustment:
                self._adjustments[row.itemId] = row.itemScoreAdjustment

    def scores(self, ratings: dict[int, float]) -> Array:
        scores = np.zeros(len(self.ids))
        for position, rating in ratings.items():
            rows = slice(self._starts[position], self._starts[position + 1])
            similar = self._similar[rows]
            np.add.at(scores, similar, self._similarities[rows] * (rating - self._adjustments[similar]))
        return scores


def _ids(message: Any, named: set[int]) -> list[Any]:
    """The items in the order of their numbers: texts or numbers of the model's own, or the numbers themselves."""
    texts, numbers = list(message.itemStringIds.vector), list(message.itemInt64Ids.vector)
    if texts and numbers:
        raise ModelError("itemStringIds and itemInt64Ids are both given; items have one kind of name")
    ids = texts or numbers
    field = "itemStringIds" if texts else "itemInt64Ids"
    if not ids:
        if not named or max(named) != len(named) - 1:
            raise ModelError(
                "itemItemSimilarities must name the items 0, 1, 2, ... without a gap where neither itemStringIds nor "
                f"itemInt64Ids is given; it names {len(named)} items"
            )
        return list(range(len(named)))
    if len(set(ids)) != len(ids):
        raise ModelError(f"{field} has items that occur twice")
    if named and max(named) >= len(ids):
        raise ModelError(f"itemItemSimilarities has an item {max(named)}, but {field} has only {len(ids)}")
    return ids


def _chosen_name(model: Model, message: Any) -> str:
    if message.itemInputFeatureName:
        return str(message.itemInputFeatureName)
    if len(model.inputs) != 1:
        raise ModelError(f"itemInputFeatureName is not set, and the model has {len(model.inputs)} inputs")
    return model.inputs[0].name


def _check_features(model: Model, message: Any, chosen_name: str) -> None:
    texts = bool(message.itemStringIds.vector)
    types = {
        "itemInputFeatureName": ("dictionary", *_LISTS),
        "numRecommendationsInputFeatureName": ("int64",),
        "itemRestrictionInputFeatureName": _LISTS,
        "itemExclusionInputFeatureName": _LISTS,
        "recommendedItemListOutputFeatureName": ("sequence",),
        "recommendedItemScoreOutputFeatureName": ("dictionary",),
    }
    if not message.recommendedItemListOutputFeatureName and not message.recommendedItemScoreOutputFeatureName:
        raise ModelError(
            "neither recommendedItemListOutputFeatureName nor recommendedItemScoreOutputFeatureName is set"
        )
    for field, allowed in types.items():
        name = chosen_name if field == "itemInputFeatureName" else getattr(message, field)
        features = model.outputs if "Output" in field else model.inputs
        found = next((feature for feature in features if feature.name == name), None)
        if name and (found is None or found.type not in allowed):
            raise ModelError(
                f"{field} is {name!r}; the model's description must state it, of type {' or '.join(allowed)}"
            )
        if found and found.type in ("dictionary", "sequence") and (found.dtype == "string") != texts:
            kinds = ("texts", "numbers") if texts else ("numbers", "texts")
            raise ModelError(f"the items of the model are {kinds[0]}, but {name!r} holds {kinds[1]}")
        if found and found.type == "multiArray" and texts:
            raise ModelError(f"the items of the model are texts, but {name!r} is an array of numbers")


def _ratings(table: _Table, name: str, value: Any) -> dict[int, float]:
    """The ratings of the chosen items by position."""
    pairs = value.items() if isinstance(value, dict) else ((item, 1.0) for item in _items(name, value))
    return {_position(table, name, item): float(rating) for item, rating in pairs}


def _listed(table: _Table, name: str, values: Values) -> list[int] | None:
    if not name or name not in values:
        return None
    return [_position(table, name, item) for item in _items(name, values[name])]


def _items(name: str, value: Any) -> Iterable[Any]:
    if not isinstance(value, np.ndarray):
        return list(value)
    numbers = value.reshape(-1)
    if (numbers != np.trunc(numbers)).any() or not np.isfinite(numbers).all():
        raise InputError(f"input {name!r} takes numbers of items, which are whole")
    return [int(number) for number in numbers]


def _position(table: _Table, name: str, item: Any) -> int:
    if item not in table.positions:
        raise InputError(f"input {name!r}: the model knows no item {item!r}; it knows {len(table.ids)} others")
    return table.positions[item]


def _number(message: Any, values: Values) -> int | None:
    name = message.numRecommendationsInputFeatureName
    if not name or name not in values:
        return None
    if values[name] < 0:
        raise InputError(f"input {name!r} is {values[name]}; the number of recommendations must not be negative")
    return int(values[name])
