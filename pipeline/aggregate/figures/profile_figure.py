"""The figure of f and f^ of a bound; for two points their signs and double roots are its proof.

Beyond r both fall by 10 to 30 orders of magnitude within the figure, so their signs and roots only
show on a scale of their own: each is divided by its envelope.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.aggregate.figures.figure import INK, finish, line_style, panels, style
from pipeline.aggregate.figures.profile import Profile, envelope

_HEADROOM = 1.25


def profile_figure(profile: Profile) -> Figure:
    """Draw f and f^ as they are, and beyond r each divided by its envelope."""
    with style():
        figure, axes = panels(1, 2, 2.5, width_ratios=(1, 2))
        whole, beyond = axes[0]
        # On a common scale nothing is visible farther out.
        near = profile.x <= 1.25 * profile.radii[-1]
        start = 0.93 * profile.radii[0]
        for index, (name, values) in enumerate(_curves(profile)):
            whole.plot(profile.x[near], values[near], label=name, **line_style(index))
            scaled = values / envelope(profile, values)
            shown = (profile.x >= start) & (profile.x <= profile.end)
            beyond.plot(profile.x[shown], scaled[shown], label=name, **line_style(index))
        for panel in (whole, beyond):
            panel.axhline(0, color=INK, linewidth=0.8)
            for name, radius in zip("rR", profile.radii, strict=False):
                _mark(panel, name, radius)
        beyond.set_xlim(start, profile.end)
        beyond.set_ylim(-_HEADROOM, _HEADROOM)
        finish(whole, title="Both functions, 1 at the origin", xlabel="|x|")
        finish(beyond, title="Each divided by its envelope", xlabel="|x|")
        figure.legend(*whole.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def _curves(profile: Profile) -> list[tuple[str, np.ndarray]]:
    return [("f", profile.function), ("f̂, its Fourier transform", profile.transform)]


def _mark(panel: Axes, name: str, radius: float) -> None:
    panel.axvline(radius, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    panel.annotate(
        name, (radius, 1), (3, -2), xycoords=panel.get_xaxis_transform(),
        textcoords="offset points", va="top",
    )  # fmt: skip
