"""Code for a cell that makes error feedback slow, so that what happens meanwhile can be seen with a small network."""

from __future__ import annotations

SLOW = """\
import time
from mlexplorer.exploration import Calibrated
made, calibrate = [], Calibrated._calibrate
def slowly(self, plan, progress, cancelled):
    for layer in range(1, 21):
        progress(layer, 20)
        time.sleep(0.05)
    made.append(max(scheme.bits for scheme in plan.schemes.values()))
    return calibrate(self, plan, None, cancelled)
Calibrated._calibrate = slowly
"""
