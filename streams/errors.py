"""The error that ends a command with a message instead of a traceback."""


class UserError(Exception):
    """A user's mistake or a fault of the environment.

    The message says what was wrong, where, and what to do about it; the command line prints it as
    it is and exits with status 2.
    """
