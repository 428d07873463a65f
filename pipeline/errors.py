"""The exceptions a user may see: one line each, naming the file, the key and the remedy."""

_MOST_CHARACTERS = 300
_TRACEBACK = "Traceback (most recent call last)"


class PipelineError(Exception):
    """A failure the user can act on; its text is one complete line."""


class ConfigError(PipelineError):
    """The experiment file asks for something that does not exist or makes no sense."""


class StoreError(PipelineError):
    """A Zarr store is half-written, damaged, or not the one the experiment describes."""


class CheckpointError(PipelineError):
    """A checkpoint is damaged or belongs to another model."""


class TrainingError(PipelineError):
    """A training run diverged, or its workers failed again and again."""


class SolverError(PipelineError):
    """A solver did not reach the accuracy it was asked for."""


class ResultError(PipelineError):
    """A result file is missing, damaged, or belongs to another experiment."""


class DiskError(PipelineError):
    """A file system has no room for what is written to it."""


class PlaceError(PipelineError):
    """What stands where a result belongs was not made by the pipeline, or nothing can be made."""


class TimeLimitError(PipelineError):
    """A job stopped in order before its time limit, with more to do and something done."""


class ClusterError(PipelineError):
    """A cluster cannot be reached, or cannot run what is asked of it."""


def brief(error: BaseException) -> str:
    """Return an unforeseen exception as one line of at most 300 characters, its type first.

    Never a piece of a traceback, which some libraries put into the text: of such a text the last
    line counts, where the traceback names the exception. Of several lines the first and the last.
    """
    text = str(error)
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if _TRACEBACK in text:
        return _cut(lines[-1], _MOST_CHARACTERS)
    told = f"{type(error).__name__}: {lines[0]}"
    if len(lines) == 1:
        return _cut(told, _MOST_CHARACTERS)
    half = _MOST_CHARACTERS // 2
    return f"{_cut(told, half - 3)} … {_cut(lines[-1], half)}"


def _cut(text: str, most: int) -> str:
    """Return `text`, or as many of its words as leave room for an ellipsis."""
    if len(text) <= most:
        return text
    return text[: most - 2].rsplit(" ", 1)[0] + " …"
