"""One family of errors; each class has one status for page, fragment and JSON alike."""

from __future__ import annotations

from collections.abc import Mapping

from app.kernel.messages import said


class AtesError(Exception):
    """Something aTES refuses or cannot do; its message may be shown to the person."""

    status = 500
    title = "Internal error"
    retry_after_s: int | None = None

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.title)

    @property
    def message(self) -> str:
        return str(self.args[0])

    @property
    def in_one_line(self) -> str:
        """All that is wrong, for a command line."""
        return self.message


class SettingsError(AtesError):
    """A setting is missing or wrong; the process does not start."""

    title = "Wrong setting"


class BadInput(AtesError):
    """A field is missing, malformed or too long: `fields` maps each to what is wrong with it."""

    status = 422
    title = "Some fields need a correction"

    def __init__(
        self, message: str | None = None, *, fields: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.fields: dict[str, str] = dict(fields or {})

    @property
    def in_one_line(self) -> str:
        faults = "; ".join(f"{name}: {fault}" for name, fault in self.fields.items())
        return faults or self.message


class Malformed(AtesError):
    """The request cannot be read at all."""

    status = 400
    title = "The request cannot be read"


class NotSignedIn(AtesError):
    """No valid session or token came with the request."""

    status = 401
    title = "Sign in first"


class Forbidden(AtesError):
    """The actor's role may not do this."""

    status = 403
    title = "Your role may not do this"


class NotFound(AtesError):
    """There is no such row, or it is not the actor's to see."""

    status = 404
    title = "Not found"


class Conflict(AtesError):
    """The state of the row forbids the change; nothing was changed."""

    status = 409
    title = "This cannot be done now"


class TooLarge(AtesError):
    """More was sent than this takes."""

    status = 413
    title = "That is too large"


class TooManyRequests(AtesError):
    """A rate limit was passed."""

    status = 429
    title = "Too many attempts"

    def __init__(self, message: str | None = None, *, retry_after_s: int = 60) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(AtesError):
    """A part that this needs is away for the moment; the same request may be sent again."""

    status = 503
    title = "Not available for the moment"
    retry_after_s = 2


class OutcomeUnknown(Unavailable):
    """The change may be made or not, or be lost again: the request tells when it is sent again."""

    title = "It is not known whether this was done: send it again"


class Stopped(AtesError):
    """All changes are stopped by an emergency; the same request may be sent when it has ended."""

    status = 503
    title = "Changes are stopped"
    retry_after_s = 30

    def __init__(self, *, incident: str, reason: str | None = None) -> None:
        if reason:
            message = said(
                "Changes are stopped, incident %(id)s: %(reason)s", id=incident, reason=reason
            )
        else:
            message = said("Changes are stopped, incident %(id)s", id=incident)
        super().__init__(message)
        self.incident = incident
        self.reason = reason
