"""What a kind is: a part of an experiment that is chosen by its key `kind`.

The folder `pipeline/<family>/<kind>/` holds all of a kind: `config.py`, the keys that an experiment
gives it, and the module named by `Kind.implementation`, which does the work. Every Snakemake job
parses the experiment, so configurations import pydantic and each other alone; implementations are
imported here, by name, when they are needed.
"""

import importlib
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict
from pydantic_core import PydanticCustomError

from pipeline.limits import GridPoints
from pipeline.wording import Words, phrases

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_\-]*"
# A file system takes 255 bytes; ours add at most `.zarr.partial.lock` and a temporary suffix.
MAX_NAME_LENGTH = 100
# Linux takes 4,096 bytes, and files lie below the path.
MAX_PATH_LENGTH = 4_000
Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", max_length=MAX_NAME_LENGTH)]
# YAML has no tuples and no paths: what stands for them is converted, the items of tuples are not.
Grid = Annotated[tuple[GridPoints, ...], Strict(False)]


class Frozen(BaseModel):
    """An immutable model that refuses keys it does not know, and a value of another type.

    Whole numbers are numbers; nothing else is converted: no 1.0 or true for 1, no "1".

    `neutral` names the fields that shape no number of a result, but for rounding: a finished result
    is not made again when they change. Every other field counts.
    """

    neutral: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    def neutral_here(self) -> frozenset[str]:
        """Return those of `neutral` that shape no number given the values of the other fields."""
        return self.neutral


class Titled(Frozen):
    """A model with a title for reports, made of a label and a phrase for each field.

    Two titles are equal exactly if the models are (see `wording`). Labels, words and titles are in
    no digest: they change no number.

    words: the phrases of fields, told in this order; other fields speak for themselves.
    """

    words: ClassVar[Words] = {}

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return str(getattr(self, "kind", "")).replace("_", " ")

    def title(self) -> str:
        """Return the label and what tells it from others of its kind."""
        return ", ".join([self.label(), *phrases(self, self.words)])


class Kind(Titled):
    """A part chosen by its key `kind`; `implementation` is a module in the folder of the kind.

    What other parts have to know of a kind is a class variable, so that they compare capabilities
    and never names.
    """

    implementation: ClassVar[str]
    # CONTRIBUTING.md says what makes a kind stable.
    lifecycle: ClassVar[Literal["experimental", "stable"]] = "experimental"
    # Modules that are run as commands, which no import shows.
    runs_modules: ClassVar[tuple[str, ...]] = ()


class Part(Frozen):
    """A data set, run or bound: what one chain of jobs makes.

    `stage_modules` are the modules of its stage; those of its kinds come to them.
    """

    stage_modules: ClassVar[tuple[str, ...]]


def implementation(part: Kind) -> ModuleType:
    """Return the module that does the work of a kind."""
    return importlib.import_module(_implementation_of(part))


def implementation_of_stage(part: Part) -> ModuleType:
    """Return the last of the modules of a part's stage: the one that is special to the part."""
    return importlib.import_module(part.stage_modules[-1])


def entry_modules(part: Part) -> tuple[str, ...]:
    """Return the modules whose imports together are the source of `part`.

    Those of its stage, and configuration and implementation of every kind in it: an edit of a kind
    makes anew only what uses it.
    """
    modules = list(part.stage_modules)
    for kind in _kinds_in(part):
        modules += [type(kind).__module__, _implementation_of(kind), *kind.runs_modules]
    return tuple(dict.fromkeys(modules))


def kinds_of(union: Any) -> dict[str, type[Kind]]:
    """Return the members of a union of kinds by the values of their key `kind`."""
    if get_origin(union) is Annotated:
        return kinds_of(get_args(union)[0])
    found = {}
    for member in get_args(union) or (union,):
        for kind in get_args(member.model_fields["kind"].annotation):
            found[kind] = member
    return found


def kinds_with(union: Any, capability: str, value: object = True) -> list[str]:
    """Return the kinds of a union whose class variable `capability` has this value."""
    return [kind for kind, of in kinds_of(union).items() if getattr(of, capability) == value]


def shaping(part: BaseModel) -> dict[str, Any]:
    """Return what shapes the numbers of a part, or of an experiment, as JSON values.

    All but its `neutral` fields; see `pipeline.runtime.identity` for the files it names.
    """
    return part.model_dump(mode="json", exclude=_unshaping(part))


def refuse(*mistakes: str) -> None:
    """Raise `ValueError` unless all mistakes are empty; each is "key: expected ..., got ..."."""
    if any(mistakes):
        raise ValueError("\n".join(filter(None, mistakes)))


def _implementation_of(part: Kind) -> str:
    package = type(part).__module__.rpartition(".")[0]
    return f"{package}.{part.implementation}"


def _kinds_in(value: Any) -> Iterator[Kind]:
    if isinstance(value, Kind):
        yield value
    if isinstance(value, BaseModel):
        for _, child in value:
            yield from _kinds_in(child)


def _unshaping(value: Any) -> dict[str, Any]:
    """Return the neutral fields of a model and of all models in it, as `model_dump` excludes."""
    if isinstance(value, Mapping):
        return {key: _unshaping(child) for key, child in value.items()}
    if not isinstance(value, Frozen):
        return {}
    found: dict[str, Any] = {key: _unshaping(child) for key, child in value}
    return {key: child for key, child in found.items() if child} | dict.fromkeys(
        value.neutral_here(), True
    )


def _check_path(value: Path) -> Path:
    # A file system takes no NUL and no lone surrogate, and a terminal obeys control characters.
    is_odd = any(unicodedata.category(x) in ("Cc", "Cs") for x in str(value))
    if is_odd or len(str(value)) > MAX_PATH_LENGTH:
        raise PydanticCustomError(
            "path", f"expected a path of at most {MAX_PATH_LENGTH:,} characters that can be shown"
        )
    return value


def _check_whole(value: Any) -> Any:
    # Of a Literal pydantic asks for equality alone, and in Python 1 == 1.0 == True.
    if type(value) in (bool, float):
        raise PydanticCustomError("whole", "expected a whole number")
    return value


File = Annotated[Path, Strict(False), AfterValidator(_check_path)]
Whole = BeforeValidator(_check_whole)
