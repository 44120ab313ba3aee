"""The figure holds what was measured: read back from its lines."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import mlexplorer as mle
from mlexplorer.comparison import Rate
from mlexplorer.errors import InputError, MissingDependencyError
from tests.painter import deep_painter, painter, photo

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def found() -> mle.Recommendation:
    return mle.recommend(deep_painter(), [photo()], psnr=25, bits=(2, 3, 4), progress=False)


def line(figure: Any, label: str) -> list[tuple[float, float]]:
    (axes,) = figure.axes
    (chosen,) = [drawn for drawn in axes.lines if drawn.get_label() == label]
    return list(zip(*chosen.get_data(), strict=True))


def test_a_recommendation_is_drawn_as_it_was_measured(found: mle.Recommendation) -> None:
    figure = mle.plot_frontier(found)
    wanted = [(row.nbytes / 1e6, row.quality) for row in sorted(found.sweep.models, key=lambda row: row.bits)]
    assert line(figure, "lookup table") == wanted
    assert line(figure, "frontier") == [(c.nbytes / 1e6, c.measurement.quality) for c in found.frontier]
    assert found.mixed
    assert line(figure, "smallest mixed for the target")[0][0] == found.mixed.nbytes / 1e6
    assert [text.get_text() for text in figure.axes[0].texts] == ["2", "3", "4"]
    assert figure.axes[0].get_ylabel() == "PSNR, dB"


def test_a_sweep_is_drawn_with_a_line_for_each_scheme() -> None:
    swept = mle.sweep(deep_painter(), [photo()], bits=(2, 8), progress=False)
    figure = mle.plot_frontier(swept)
    assert {drawn.get_label() for drawn in figure.axes[0].lines} == {"linear", "lookup table"}


def test_a_classifier_is_drawn_by_its_agreement_with_intervals() -> None:
    model, pictures = painter(classes=7, sizes="fixed"), [photo(seed=seed) for seed in range(5)]
    swept = mle.sweep(model, pictures, schemes=[mle.Linear], bits=(1, 3, 8), progress=False)
    rates = [row.agreement for row in swept.models]
    assert len({rate for rate in rates if rate is not None}) > 1
    figure = mle.plot_frontier(swept)
    assert figure.axes[0].get_ylabel() == "Top-1 agreement, %"
    assert [share for _, share in line(figure, "linear")] == [100 * (rate or 0) for rate in rates]
    drawn = [bound for segment in figure.axes[0].collections[0].get_segments() for bound in segment[:, 1]]
    bounds = [100 * bound for rate in rates if isinstance(rate, Rate) for bound in rate.interval]
    assert drawn == pytest.approx(bounds)
    by_target = mle.recommend(model, pictures, snr=10, bits=(3, 8), progress=False)
    assert mle.plot_frontier(by_target).axes[0].get_ylabel() == "SNR, dB", "the target's measure comes first"
    assert mle.plot_frontier(swept, agreement=False).axes[0].get_ylabel() == "SNR, dB"


def test_refused(found: mle.Recommendation, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no labels"):
        mle.plot_frontier(found, agreement=True)
    with pytest.raises(InputError, match="nothing to plot"):
        mle.plot_frontier(mle.Sweep((), 0))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match="pip install matplotlib"):
        mle.plot_frontier(found)
