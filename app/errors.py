"""The exceptions that Honk raises, by who reads them.

    HonkError
    ├── UserError        shown to the person: on the issue, in the check run, in the terminal
    └── RetryableError   a temporary failure of a service: retried later

Any other exception is a bug in Honk: it is logged with its context and ends the run with an honest
message.
"""


class HonkError(Exception):
    """The base of Honk's own exceptions. The message is a complete sentence."""


class UserError(HonkError):
    """A problem that a person can fix. `message` says what is wrong, `next_step` how to fix it.

    `details` is Markdown written by Honk with more background; only one place shows it.
    """

    def __init__(self, message: str, *, next_step: str = "", details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.next_step}".strip()


class RetryableError(HonkError):
    """A service is unavailable or rate limits us.

    `retry_after` is in seconds, or None when the service gave no time.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
