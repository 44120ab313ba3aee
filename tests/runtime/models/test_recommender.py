"""Recommenders against the documented sum, written as a loop; items by text, number and position."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import InputError, ModelError
from tests.checks import fill

RNG = np.random.default_rng(53)
COUNT = 9
# similarities[chosen, other]; most are not stored
SIMILARITIES = np.where(RNG.random((COUNT, COUNT)) < 0.4, RNG.random((COUNT, COUNT)), 0)
SIMILARITIES[:, COUNT - 1] = 0.01
ADJUSTMENTS = np.round(RNG.normal(size=COUNT), 2)
TEXTS = [f"song {k}" for k in range(COUNT)]
NUMBERS = [100 - 7 * k for k in range(COUNT)]


def recommender(ids: list[Any] | None = None, *, items: str = "dictionary") -> Any:
    """A model with every optional input and both outputs."""
    model = spec.Model(specificationVersion=4)
    message = model.itemSimilarityRecommender
    for row in RNG.permutation(COUNT):
        similar = [{"itemId": int(k), "similarityScore": float(SIMILARITIES[row, k])} for k in range(COUNT)]
        entry = message.itemItemSimilarities.add(itemId=int(row), itemScoreAdjustment=float(ADJUSTMENTS[row]))
        fill(entry, {"similarItemList": [item for item in similar if item["similarityScore"]]})
    if ids:
        getattr(message, "itemStringIds" if isinstance(ids[0], str) else "itemInt64Ids").vector.extend(ids)
    text = bool(ids) and isinstance(ids[0], str)
    names = {
        "itemInputFeatureName": ("items", items, False),
        "numRecommendationsInputFeatureName": ("count", "int64", True),
        "itemRestrictionInputFeatureName": ("only", "sequence", True),
        "itemExclusionInputFeatureName": ("without", "sequence", True),
        "recommendedItemListOutputFeatureName": ("list", "sequence", False),
        "recommendedItemScoreOutputFeatureName": ("scores", "dictionary", False),
    }
    for field, (name, kind, optional) in names.items():
        setattr(message, field, name)
        features = model.description.output if "Output" in field else model.description.input
        feature_type = features.add(name=name).type
        feature_type.isOptional = optional
        set_type(feature_type, kind, text)
    return model


def set_type(feature_type: Any, kind: str, text: bool) -> None:
    if kind == "dictionary":
        getattr(feature_type.dictionaryType, "stringKeyType" if text else "int64KeyType").SetInParent()
    elif kind == "sequence":
        getattr(feature_type.sequenceType, "stringType" if text else "int64Type").SetInParent()
    elif kind == "int64":
        feature_type.int64Type.SetInParent()
    else:
        feature_type.multiArrayType.dataType = 131104


def scores(ratings: dict[int, float]) -> list[float]:
    """The documented formula: sum over chosen i of similarity(k, i) * (rating of i - adjustment of k)."""
    return [sum(SIMILARITIES[i, k] * (rating - ADJUSTMENTS[k]) for i, rating in ratings.items()) for k in range(COUNT)]


def ranked(ratings: dict[int, float], allowed: list[int]) -> list[int]:
    values = scores(ratings)
    return sorted(allowed, key=lambda k: (-values[k], k))


@pytest.mark.parametrize("ids", [None, TEXTS, NUMBERS], ids=["positions", "texts", "numbers"])
def test_scores_and_their_order(ids: list[Any] | None) -> None:
    names = ids or list(range(COUNT))
    ratings = {2: 1.5, 5: -0.5, 8: 3.0}
    result = mle.predict(mle.load(recommender(ids)), {"items": {names[k]: v for k, v in ratings.items()}})
    expected = ranked(ratings, [k for k in range(COUNT) if k not in ratings])
    assert result["list"] == [names[k] for k in expected]
    assert list(result["scores"]) == result["list"]
    values = scores(ratings)
    assert result["scores"] == pytest.approx({names[k]: values[k] for k in expected}, abs=1e-12)


def test_lists_and_arrays_of_items_have_the_rating_one() -> None:
    expected = ranked({1: 1.0, 6: 1.0}, [0, 2, 3, 4, 5, 7, 8])
    for kind, value in (("sequence", [6, 1, 6]), ("multiArray", np.array([1, 6])), ("dictionary", {1: 1, 6: 1})):
        assert mle.predict(mle.load(recommender(items=kind)), {"items": value})["list"] == expected
    chosen = [TEXTS[1], TEXTS[6]]
    model = mle.load(recommender(TEXTS, items="sequence"))
    assert mle.predict(model, {"items": chosen})["list"] == [TEXTS[k] for k in expected]


def test_how_many_only_these_and_none_of_those() -> None:
    model = mle.load(recommender())
    ratings = {2: 1.0, 4: 2.0}
    every = [k for k in range(COUNT) if k not in ratings]

    def items(**given: Any) -> list[int]:
        return list(mle.predict(model, {"items": ratings, **given})["list"])

    assert items() == ranked(ratings, every)
    assert items(count=3) == ranked(ratings, every)[:3]
    assert items(count=0) == []
    assert items(count=99) == ranked(ratings, every)
    assert items(only=[7, 2, 0]) == ranked(ratings, [0, 7])  # the chosen items stay out
    assert items(only=[]) == []
    assert items(without=[0, 7]) == ranked(ratings, [k for k in range(COUNT) if k not in (0, 7)])  # and come back in
    assert items(without=[]) == ranked(ratings, list(range(COUNT)))
    assert items(only=[2, 3, 7], without=[7], count=1) == ranked(ratings, [2, 3])[:1]


def test_without_choices_all_items_tie_and_come_in_order() -> None:
    result = mle.predict(mle.load(recommender()), {"items": {}})
    assert result["list"] == list(range(COUNT))
    assert set(result["scores"].values()) == {0.0}


def test_one_output_suffices_and_a_single_input_needs_no_name() -> None:
    model = recommender()
    model.itemSimilarityRecommender.itemInputFeatureName = ""
    for field in ("numRecommendations", "itemRestriction", "itemExclusion"):
        setattr(model.itemSimilarityRecommender, f"{field}InputFeatureName", "")
    model.itemSimilarityRecommender.recommendedItemScoreOutputFeatureName = ""
    del model.description.input[1:], model.description.output[1:]
    assert mle.predict(mle.load(model), {"items": {0: 1.0}}) == {"list": ranked({0: 1.0}, list(range(1, COUNT)))}


def broken(change: Any, message: str) -> Any:
    return pytest.param(change, message, id=message[:40])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        broken(lambda m: m.itemSimilarityRecommender.itemStringIds.vector.append("a"), "both given"),
        broken(lambda m: m.itemSimilarityRecommender.itemInt64Ids.vector.__setitem__(0, 93), "occur twice"),
        broken(lambda m: m.itemSimilarityRecommender.itemInt64Ids.vector.pop(), "has an item 8, but itemInt64Ids has"),
        broken(lambda m: m.itemSimilarityRecommender.ClearField("itemItemSimilarities") or clear(m), "without a gap"),
        broken(lambda m: clear(m, 2**63), "without a gap"),
        broken(lambda m: setattr(m.itemSimilarityRecommender, "itemInputFeatureName", "x"), "FeatureName is 'x'"),
        broken(lambda m: setattr(m.itemSimilarityRecommender, "itemInputFeatureName", ""), "model has 4 inputs"),
        broken(lambda m: set_type(m.description.input[1].type, "sequence", False), "numRec.* of type int64"),
        broken(lambda m: set_type(m.description.input[2].type, "int64", False), "of type sequence or multiArray"),
        broken(lambda m: set_type(m.description.output[1].type, "sequence", False), "of type dictionary"),
        broken(lambda m: set_type(m.description.input[0].type, "dictionary", True), "'items' holds texts"),
        broken(lambda m: set_type(m.description.output[0].type, "sequence", True), "'list' holds texts"),
        broken(
            lambda m: [
                setattr(m.itemSimilarityRecommender, f"recommendedItem{end}OutputFeatureName", "")
                for end in ("List", "Score")
            ],
            "neither recommendedItemListOutputFeatureName nor",
        ),
    ],
)
def test_contradictions_are_named_when_the_model_is_prepared(change: Any, message: str) -> None:
    model = recommender(NUMBERS)
    change(model)
    with pytest.raises(ModelError, match=message):
        mle.Predictor(mle.load(model))


def clear(model: Any, item: int | None = None) -> None:
    """Take away the ids, and name an item whose number leaves a gap."""
    model.itemSimilarityRecommender.ClearField("itemInt64Ids")
    if item is not None:
        model.itemSimilarityRecommender.itemItemSimilarities.add(itemId=item)


def test_arrays_cannot_hold_texts() -> None:
    with pytest.raises(ModelError, match="items of the model are texts, but 'items' is an array"):
        mle.Predictor(mle.load(recommender(TEXTS, items="multiArray")))


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"items": {99: 1.0}}, "input 'items': the model knows no item 99"),
        ({"only": [-1]}, "input 'only': the model knows no item -1"),
        ({"without": [9]}, "input 'without': the model knows no item 9"),
        ({"count": -1}, "input 'count' is -1"),
    ],
)
def test_inputs_that_do_not_fit(feeds: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        mle.predict(mle.load(recommender()), {"items": {0: 1.0}, **feeds})


def test_an_array_with_parts_of_items_is_refused() -> None:
    with pytest.raises(InputError, match="takes numbers of items, which are whole"):
        mle.predict(mle.load(recommender(items="multiArray")), {"items": np.array([0.5])})
