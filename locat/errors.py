"""Errors that are the user's to mend: reported in one line, without a traceback."""


class UserError(Exception):
    """Something the user gave is wrong; the message names it and the remedy (exit code 2)."""


class ConfigError(UserError):
    """A job config is not valid."""


class DataError(UserError):
    """A dataset file is missing, truncated, altered or of another layout than promised."""


class WeightsError(UserError):
    """Weights do not fit the model they are loaded into."""
