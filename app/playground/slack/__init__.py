"""A simulated Slack on this machine: stateful, with Slack's limits, refusals and retries."""

from .auth import SlackSignInError
from .deliveries import SlackDelivery
from .people import SlackPerson
from .refusals import SlackRefusal
from .server import serve
from .simulator import Slack
from .world import SlackApp, SlackChannel, SlackMessage, SlackRecord, SlackUser, SlackWorkspace

__all__ = [
    "Slack",
    "SlackApp",
    "SlackChannel",
    "SlackDelivery",
    "SlackMessage",
    "SlackPerson",
    "SlackRecord",
    "SlackRefusal",
    "SlackSignInError",
    "SlackUser",
    "SlackWorkspace",
    "serve",
]
