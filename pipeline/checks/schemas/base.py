"""What the models of all files share."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from pipeline.kinds import Frozen, Whole

EXPERIMENT = "experiment.schema.json"
# Pydantic follows every "$ref" to a definition of its own: those to another file get their name
# when the schema is written.
REF = "$ref elsewhere"


def as_in_experiment(*definitions: str) -> WithJsonSchema:
    """Return the schema of a configuration: one of these definitions of the experiment's schema.

    So a new key of an experiment, or another description, leaves the other schemas as they are.
    """
    refs: list[dict[str, Any]] = [{REF: f"{EXPERIMENT}#/$defs/{name}"} for name in definitions]
    return WithJsonSchema(refs[0] if len(refs) == 1 else {"oneOf": refs})


SchemaVersion = Annotated[Literal[1], Whole]
Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Crc32 = Annotated[str, Field(pattern="^[0-9a-f]{8}$")]
Decimal = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?$")]
# ISO 8601 in UTC.
Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$")]


class JsonObject(Frozen):
    """A JSON object in a file: no key but these; the text below a field describes it."""

    model_config = ConfigDict(use_attribute_docstrings=True)
