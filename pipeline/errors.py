"""The exceptions a user may see: one line each, naming the file, the key and the remedy."""


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


class TimeLimitError(PipelineError):
    """A job stopped in order before its time limit, with more to do and something done."""


class ClusterError(PipelineError):
    """A cluster cannot be reached, or cannot run what is asked of it."""
