"""What a comparison prints, and what becomes of it in pandas."""

from __future__ import annotations

import math
import pickle
import re
import sys
from html import unescape

import pytest

from mlexplorer.comparison import Comparison, InputRow, Rate
from mlexplorer.comparison.result import aggregate
from mlexplorer.errors import MissingDependencyError

ROWS = (
    InputRow("a.jpg", "label", False, agrees=False, reference="bull mastiff", changed="<b>oxer", label="bull mastiff"),
    InputRow("b.jpg", "label", True, agrees=True, reference="cat", changed="cat", label="dog"),
    InputRow("a.jpg", "picture", False, psnr=20.0, snr=12.0, ssim=0.5, max_error=90.0),
    InputRow("b.jpg", "picture", False, psnr=30.0, snr=25.0, ssim=0.9, max_error=12.0),
    InputRow("a.jpg", "number", False, snr=20.0, max_error=0.5, power=25.0, noise=0.25, reference=5.0, changed=5.5),
    InputRow("b.jpg", "number", True, snr=math.inf, max_error=0.0, power=1.0, noise=0.0, reference=1.0, changed=1.0),
)
COMPARISON = Comparison(
    "net.mlmodel (float32)",
    "net.mlmodel (4 bit linear)",
    (12345, 2469),
    "pictures",
    "stretched",
    (
        aggregate(ROWS, "label", "string", classes=True),
        aggregate(ROWS, "picture", "image", classes=False),
        aggregate(ROWS, "number", "double", classes=False),
    ),
    ROWS,
    {"c.png": "not a picture that can be read"},
    tuple(f"{index}.txt" for index in range(7)),
)


TEXT = """\
net.mlmodel (float32), 12,345 bytes
net.mlmodel (4 bit linear), 2,469 bytes, 20.0 % of it
on 2 pictures, stretched

output   Top-1 agreement     accuracy            the other's accuracy  PSNR      SNR       SSIM    largest error  worst
label    50.0 % (9.5..90.5)  50.0 % (9.5..90.5)  0.0 % (0.0..65.8)
picture                                                                25.00 dB  18.50 dB  0.7000  90             a.jpg (20.00 dB)
number                                                                           20.17 dB          0.5            a.jpg (20.00 dB)

PSNR, SNR, SSIM of pictures: the mean over the pictures.
SNR of other outputs: of all pictures together.
In brackets: what the counts say with 95 % confidence (Wilson's interval).
best classes differ: 1
  a.jpg: bull mastiff -> <b>oxer
unreadable: 1
  c.png: not a picture that can be read
left out, no pictures by their names: 7
  0.txt
  1.txt
  2.txt
  3.txt
  4.txt
  and 2 more"""  # noqa: E501


def test_the_text_has_columns_that_say_something_and_names_what_is_missing() -> None:
    assert repr(COMPARISON) == TEXT


def test_the_table_in_a_notebook_says_the_same_and_runs_nothing() -> None:
    html = COMPARISON._repr_html_()
    assert "<b>oxer" not in html
    text = re.sub(r"<(/td|/th|/tr|br|table)[^>]*>", " ", html)
    text = unescape(re.sub(r"<[^>]*>", "", text))
    assert text.split() == TEXT.split()


def test_the_whole_is_as_bad_as_its_worst_output() -> None:
    found = COMPARISON
    assert (found.psnr, found.ssim, found.max_error, found.inputs) == (25.0, 0.7, 90.0, 2)
    assert found.snr == 18.5
    assert (found.top1_agreement, found.top5_agreement, found.accuracy, found.other_accuracy) == (0.5, None, 0.5, 0.0)
    number = found.outputs[2]
    assert number.snr == pytest.approx(10 * math.log10((25 + 1) / 0.25)), "of all numbers together"
    assert (number.identical, number.worst, number.lowest) == (1, "a.jpg", 20.0)


def test_rows_show_what_they_have() -> None:
    assert repr(ROWS[3]) == (
        "InputRow(input='b.jpg', output='picture', identical=False, psnr=30.0, snr=25.0, ssim=0.9, max_error=12.0)"
    )
    assert repr(COMPARISON.outputs[0]) == (
        "OutputRow(output='label', type='string', inputs=2, identical=1, top1=Rate(1, 2), accuracy=Rate(1, 2), "
        "other_accuracy=Rate(0, 2))"
    )


def test_it_can_be_sent_to_other_processes() -> None:
    copy = pickle.loads(pickle.dumps(COMPARISON))
    assert copy == COMPARISON
    assert copy.rows == ROWS
    assert repr(copy) == TEXT


def test_pandas_has_a_row_for_each_output_or_input_and_the_bounds_beside_shares() -> None:
    pytest.importorskip("pandas")
    frame = COMPARISON.to_pandas()
    assert list(frame["output"]) == ["label", "picture", "number"]
    assert tuple(frame.loc[0, ["top1", "top1_low", "top1_high"]]) == (0.5, *Rate(1, 2).interval)
    assert frame.loc[1, "psnr"] == 25.0
    assert frame["psnr"].dtype == float
    assert "top5" not in frame
    rows = COMPARISON.to_pandas(per_input=True)
    assert list(rows["input"]) == ["a.jpg", "b.jpg"] * 3
    assert list(rows.loc[2:3, "ssim"]) == [0.5, 0.9]


def test_pandas_is_asked_for_by_name_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pip install pandas"):
        COMPARISON.to_pandas()
