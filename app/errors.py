"""The errors that the product knows, by who reads them.

    HonkError
    ├── UserError        shown where the person is: the issue, the check, the terminal
    └── RetryableError   nobody's fault and likely to pass: tried again, later

Everything else that is raised is our bug: it is logged with its context and ends the run honestly.
"""


class HonkError(Exception):
    """What Honk itself raises; its message is a whole sentence."""


class UserError(HonkError):
    """A person can mend this. The message says what is wrong, `next_step` what to do about it.

    `details` is Markdown made by Honk for who wants to read more: it is shown in one place only.
    """

    def __init__(self, message: str, *, next_step: str = "", details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.next_step}".strip()


class RetryableError(HonkError):
    """A service is away or asks for patience.

    `retry_after` is in seconds, or None where the service named no time.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
