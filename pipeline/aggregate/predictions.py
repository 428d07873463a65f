"""Figures of a sample prediction against the truth: lines, maps, or scatter and ray.

An operator run stores `input`, `truth`, `prediction` (samples, channels, *grid), `coordinates`
and `relative_l2` (samples,): a typical and the worst test sample. A PINN run stores `exact` and
`prediction` at test points, and along one ray `ray_radius`, `ray_exact`, `ray_prediction`.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.aggregate.collect import RunResult
from pipeline.aggregate.figure import COLOURS, INK, finish, panels, style
from pipeline.config import OperatorRun
