"""The runs that an experiment may name: PINNs, and neural operators on a data set."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag, TypeAdapter

from pipeline.kinds import kinds_of
from pipeline.models.union import AnyModel
from pipeline.training.operator.config import OperatorRun
from pipeline.training.pinn.config import PinnRun


def _run_tag(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "operator" if hasattr(value, "dataset") else "pinn"
    # By its model, too: so that a forgotten or misspelt `dataset` is what is complained of.
    model = value.get("model")
    kind = model.get("kind") if isinstance(model, Mapping) else None
    return "operator" if "dataset" in value or kind in kinds_of(AnyModel) else "pinn"


AnyRun = Annotated[
    Annotated[PinnRun, Tag("pinn")] | Annotated[OperatorRun, Tag("operator")],
    Discriminator(_run_tag),
]


def parse_run(raw: Mapping[str, Any]) -> PinnRun | OperatorRun:
    """Return one validated run from its mapping, as a job receives it."""
    run: PinnRun | OperatorRun = TypeAdapter(AnyRun).validate_python(raw)
    return run
