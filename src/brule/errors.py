"""The errors that brule raises for its user: each says what was expected, what came, and what to do."""


class BruleError(ValueError):
    """Something the user can mend. The command line prints the message alone, without a traceback."""


class DataError(BruleError):
    """A file, a folder or an array isn't what it should be."""


class ConfigError(BruleError):
    """A setting is unknown, out of range, or at odds with another."""


class CheckpointError(BruleError):
    """A saved run or detector is missing, incomplete, or of another kind."""


class OutputError(BruleError):
    """Something can't be written: no room, no permission, no such place. Nothing half-written is left."""


class TrainingError(BruleError):
    """Training can't go on: a loss became NaN or infinite, for example."""


class ProcessLostError(TrainingError):
    """Another of the processes that train together has gone."""


class ExportError(BruleError):
    """A detector can't be exported: a package is missing, or what came out doesn't compute the same."""
