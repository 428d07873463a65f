"""Configuration of the fully connected network."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.limits import Size
from pipeline.networks.settings import NetworkKind


class MLP(NetworkKind):
    """Fully connected tanh network: `depth` linear layers, `width` hidden units.

    `skip` adds a polynomial of the coordinates to it, of degree 1 or 2.
    """

    kind: Literal["mlp"]
    width: Size = 128
    depth: Annotated[int, Field(ge=2, le=10_000)] = 4
    skip: Literal["none", "linear", "quadratic"] = "none"
