"""The neural operators that a run may name: a line a kind."""

from pipeline.models.fno.config import FNO

AnyModel = FNO
