"""The one exception of this package's border.

Its text is the same for every cause, so that it can be shown to anybody; the cause goes to the local log.
"""


class Refused(Exception):
    """Something from outside could not be opened, decoded or verified."""

    def __init__(self, why: str) -> None:
        super().__init__("OPEN_FAILED")
        self.why = why


class RootExpired(Refused):
    """Nothing is verified by a root document whose time is over. That is no secret: the document is public."""
