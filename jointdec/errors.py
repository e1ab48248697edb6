"""The one exception that a user's own mistake becomes."""


class UserError(Exception):
    """Bad input: one sentence saying what was found, where, what is allowed and how to mend it.

    The commands print the sentence without a traceback and exit with code 2.
    """
