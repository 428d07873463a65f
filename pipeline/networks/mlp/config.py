"""Configuration of the fully connected network."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.limits import Size
from pipeline.networks.settings import NetworkKind
from pipeline.wording import Words, elsewhere


class MLP(NetworkKind):
    """Fully connected tanh network, with a polynomial of the coordinates beside it if asked for."""

    lifecycle = "stable"
    # The polynomial is told with the optimiser that moves it.
    words: ClassVar[Words] = dict.fromkeys(("width", "depth", "skip"), elsewhere)

    kind: Literal["mlp"]
    width: Size = Field(
        default=128,
        description=(
            "Units of each hidden layer; 32 to 128 are usual here. Memory grows with d · width, the"
            " time of a step with `exact_gram` with d · width²."
        ),
    )
    depth: int = Field(
        default=4,
        ge=2,
        le=10_000,
        description=(
            "Number of linear layers, with tanh between them; 3 or 4 are usual here. Each further"
            " one costs width² weights and its share of a step."
        ),
    )
    skip: Literal["none", "linear", "quadratic"] = Field(
        default="none",
        description=(
            "Polynomial that is added to the network: linear c + l·x, or quadratic with xᵀMx, which"
            " has d² numbers. `optimizer: kaczmarz` needs one; there is none for mixed derivatives"
            " and for `shard: axes`."
        ),
    )

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return f"MLP {self.width} × {self.depth}"

    @property
    def polynomial(self) -> Literal["none", "linear", "quadratic"]:
        """Return what polynomial of the coordinates stands beside the network."""
        return self.skip

    def num_weights(self, num_inputs: int) -> tuple[int, str]:
        """Return the number of weights but for biases, and the larger of `width` and `depth`."""
        n, width, depth = num_inputs, self.width, self.depth
        skip = {"none": 0, "linear": n, "quadratic": n + n**2}[self.skip]
        key = "width" if width >= depth else "depth"
        return n * width + (depth - 2) * width**2 + width + skip, key
