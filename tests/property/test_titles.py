"""Titles are equal exactly for equal problems, whatever fields a configuration has.

Values are drawn for every field that the models have, from their types alone: a field that is new
is drawn, too, and has to be in the titles.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import combinations, product
from random import Random
from typing import Annotated, Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from pipeline.aggregate.describe import (
    dataset_title,
    formulation_title,
    problem_identity,
    problem_title,
)
from pipeline.config import Experiment
from pipeline.kinds import kinds_of
from pipeline.packing.config import Bound
from pipeline.packing.two_point.config import TwoPoint
from pipeline.packing.union import AnyFormulation
from pipeline.problems.fokker_planck.config import FokkerPlanck
from pipeline.problems.union import AnyProblem
from pipeline.store.config import Dataset, Trajectory
from pipeline.training.operator.config import OperatorRun
from pipeline.training.pinn.config import PinnRun
from pipeline.wording import number, text

# What is no part of what a dataset holds.
LAYOUT = {"samples_per_shard", "ranks", "tolerance"}
PROBLEMS = [*kinds_of(AnyProblem).values()]
FORMULATIONS = [*kinds_of(AnyFormulation).values()]
NO_DATA = Experiment(schema_version=1, seed=0)
# Values of every kind of field; what does not fit a field's type is left out of its pool.
ANY = (
    *(0, 1, 2, 3, 7, 11, 47, 53, 64, 10, 100, 1000, 10_000, 4096, 40_960, True, False),
    *(1e-300, 1e-12, 1e-7, 2e-7, 0.1, 0.1000000001, 0.002, 0.02, 1.0, 1.3, 1.30001, 1e6, 1e17),
    *((64,), (16, 16), (16, 32), (16, 16, 16), (1024,)),
)


@cache
def pool(model: type[BaseModel], name: str) -> list[Any]:
    """Return different valid values of a field, its default among them."""
    field: FieldInfo = model.model_fields[name]
    kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    literals = get_args(field.annotation)
    models = [m for m in (literals or (field.annotation,)) if is_model(m)]
    tried = [*(() if models else literals), *ANY]
    adapter, found = TypeAdapter(kind), list[Any]()
    for value in [] if field.is_required() else [field.get_default(call_default_factory=True)]:
        found.append(value)
    for value in tried:
        try:
            found.append(adapter.validate_python(value, strict=True))
        except ValidationError:
            continue
    for each in models:
        pools = [pool(each, part)[:3] for part in each.model_fields]
        for chosen in product(*pools):
            found.append(each.model_construct(**dict(zip(each.model_fields, chosen, strict=True))))
    assert found, f"no value for {model.__name__}.{name}"
    return found


def is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def batch(models: Sequence[type[BaseModel]], seed: int) -> list[Any]:
    """Return models that share most of their fields: one, and others that differ from it in one.

    Each field is valid; whether they fit each other makes no difference to a title.
    """
    rng, found = Random(seed), list[Any]()
    for model in models:
        first = {name: rng.choice(pool(model, name)) for name in model.model_fields}
        found += [model.model_construct(**first)] * 2
        for name in model.model_fields:
            changed = rng.sample(pool(model, name), min(4, len(pool(model, name))))
            found += [model.model_construct(**(first | {name: value})) for value in changed]
    return found


def same_partition(parts: Iterable[Any], *labels: Callable[[Any], Any]) -> None:
    """Assert that two parts have one label exactly if they have one of every other kind."""
    rows = [tuple(label(part) for label in labels) for part in parts]
    for a, b in combinations(rows, 2):
        assert len({x == y for x, y in zip(a, b, strict=True)}) == 1, (a, b)


def pinn(problem: BaseModel) -> PinnRun:
    return PinnRun.model_construct(problem=problem)


def content(part: BaseModel) -> str:
    return f"{type(part).__name__} {part.model_dump_json(exclude=LAYOUT, warnings=False)}"


@settings(max_examples=5)
@given(st.integers(0, 10**9))
def test_of_pinn_problems(seed):
    same_partition(
        batch(PROBLEMS, seed),
        content,
        lambda problem: problem_title(pinn(problem), NO_DATA),
        lambda problem: problem_identity(pinn(problem), NO_DATA),
    )


@settings(max_examples=5)
@given(st.integers(0, 10**9))
def test_of_formulations(seed):
    same_partition(
        batch(FORMULATIONS, seed),
        content,
        lambda part: formulation_title(Bound.model_construct(formulation=part)),
    )


@settings(max_examples=5)
@given(st.integers(0, 10**9))
def test_of_datasets(seed):
    def as_runs_see_it(dataset):
        run = OperatorRun.model_construct(dataset="x")
        return problem_identity(run, Experiment.model_construct(datasets={"x": dataset}))

    same_partition(batch([Dataset, Trajectory], seed), content, dataset_title, as_runs_see_it)


def test_a_certificate_of_less_than_the_degree_asked_for_says_so():
    bound = Bound(formulation=TwoPoint(kind="two_point", dim=8, degree=11))
    assert formulation_title(bound, 11) == formulation_title(bound) == "two-point, n = 8, degree 11"
    assert formulation_title(bound, 7) == "two-point, n = 8, degree 11; certificate of degree 7"


floats = st.floats(allow_nan=False, allow_infinity=False)


@given(floats, floats, st.integers(0, 3))
def test_of_numbers(a, b, ulps):
    near = a
    for _ in range(ulps):
        near = math.nextafter(near, math.inf)
    for x, y in ((a, b), (a, near)):
        assert (number(x) == number(y)) == (str(x) == str(y))
    assert float(number(a)) == a and text(a) == number(a)


def test_a_field_that_nobody_thought_of_is_in_the_title():
    class Slanted(FokkerPlanck):
        slope: float = 1.0
        measure: str = "flat"

    plain, steep, other = (
        Slanted(kind="fokker_planck", dim=5, **more)
        for more in ({}, {"slope": 2.5}, {"measure": "round"})
    )
    titles = [problem_title(pinn(problem), NO_DATA) for problem in (plain, steep, other)]
    assert titles[0] == "Fokker–Planck (log-density), d = 5"
    assert titles[1:] == [f"{titles[0]}, slope 2.5", f"{titles[0]}, measure round"]
