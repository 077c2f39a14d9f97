"""Why a record cannot become a frame."""


class UnusableError(ValueError):
    """A record cannot become a frame; the message is the reason that its rejection is listed with."""
