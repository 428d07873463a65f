"""Numbers of an experiment with their limits, by what they count or measure.

Beyond a limit nothing sensible lies: a run that never ends, a number that a generator or single
precision does not take, an overflow. Limits are generous, no part of a result's identity, and may
be moved. What memory or the cores bound is compared with what there is (`pipeline.checks.sizes`).
"""

from typing import Annotated

from pydantic import Field

# --- whole numbers --------------------------------------------------------------------------------

# What PyTorch's generators take.
Seed = Annotated[int, Field(ge=0, le=2**64 - 1)]
# Numbers of coordinates, hidden units, samples, points of a batch: memory is full long before.
Size = Annotated[int, Field(ge=1, le=10**12)]
# Points of one axis; fewer than 8 resolve nothing.
GridPoints = Annotated[int, Field(ge=8, le=10**9)]
Layers = Annotated[int, Field(ge=1, le=10_000)]
# Steps and epochs of training: 10^9 steps of a millisecond are twelve days.
Steps = Annotated[int, Field(ge=1, le=10**9)]
# Points that an error is measured at, a chunk at a time.
TestPoints = Annotated[int, Field(ge=1, le=10**8)]
# Independent estimates of one residual, each as dear as a step.
Repeats = Annotated[int, Field(ge=1, le=10_000)]
# Random directions of one estimate; they may outnumber the axes.
Directions = Annotated[int, Field(ge=1, le=10**6)]
Snapshots = Annotated[int, Field(ge=1, le=10**6)]
# Workers or MPI ranks.
Processes = Annotated[int, Field(ge=1, le=100_000)]

# --- numbers --------------------------------------------------------------------------------------

# In the units of the equation, whose lengths and velocities are about 1.
Viscosity = Annotated[float, Field(ge=1e-12, le=1e6)]
Time = Annotated[float, Field(ge=1e-12, le=1e12)]
# Coefficients of an equation, energies, inverse lengths, ratios.
Magnitude = Annotated[float, Field(ge=1e-9, le=1e9)]
# Of a Gaussian field: its covariance is a power of the Laplacian, and beyond 20 one mode is left.
Smoothness = Annotated[float, Field(ge=1e-3, le=20.0)]
InverseLength = Annotated[float, Field(ge=1e-6, le=1e6)]
# Below 0.1 the spectrum is zero at all wave numbers k >= 1.
Wavenumber = Annotated[float, Field(ge=0.1, le=1e6)]
# Relative errors; float64 has 16 digits, and what a smaller one asks for is refused by the stage.
Relative = Annotated[float, Field(ge=1e-30, le=1e6)]
# Powers of a radius: 1 / dim is uniform in the ball.
RadiusExponent = Annotated[float, Field(ge=1e-12, le=1e3)]
# Single precision reaches from 1e-38 to 3e38, and Adam divides by 0.1 at its first step.
LearningRate = Annotated[float, Field(ge=1e-30, le=1e30)]
RateFactor = Annotated[float, Field(ge=1e-6, le=1e6)]
WeightDecay = Annotated[float, Field(ge=0.0, le=1e6)]

# Time steps of one solve: hours on the coarsest of grids.
MOST_TIME_STEPS = 10_000_000


def too_many_steps(final_time: float, time_step: float) -> str:
    """Return why so many time steps are refused, or nothing; it begins with the key."""
    if final_time / time_step <= MOST_TIME_STEPS:
        return ""
    return (
        f"time_step: expected one that reaches final_time={final_time:g} in at most"
        f" {MOST_TIME_STEPS:,} steps, got {time_step:g} ({final_time / time_step:.1e} steps);"
        " use a larger time_step or an earlier final_time"
    )


def too_viscous(viscosity: float, final_time: float, most: float, wavenumber: str) -> str:
    """Return why a flow of which rounding alone is left is refused, or nothing; the key first."""
    if viscosity * final_time <= most:
        return ""
    return (
        f"viscosity: expected at most {most / final_time:.3g} with final_time={final_time:g}"
        f" (the slowest wave decays by exp(-{wavenumber}viscosity final_time), and nothing but"
        f" rounding would be left), got {viscosity:g}"
    )
