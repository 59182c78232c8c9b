"""The state of the simulated Slack: workspaces, people, channels, messages, and one App.

Plain state; the methods of the Web API and the people of a test change it.
"""

from __future__ import annotations

import functools
import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric import rsa

from app.playground.clock import Clock

from .deliveries import SlackDeliveries
from .faults import SlackFaults
from .limits import SlackLimits
from .previews import LinkPreviews
from .refusals import SlackRefusal

Json = dict[str, Any]


@dataclass(eq=False)
class SlackWorkspace:
    """A workspace, which Slack calls a team."""

    id: str
    domain: str
    name: str


@dataclass(eq=False)
class SlackUser:
    """An account in one workspace: a person, a guest, or a bot."""

    id: str
    name: str
    team: SlackWorkspace
    real_name: str = ""
    email: str = ""
    is_bot: bool = False
    is_admin: bool = False
    is_restricted: bool = False
    """A guest in several channels."""
    is_ultra_restricted: bool = False
    """A guest in a single channel."""
    deleted: bool = False
    bot_id: str = ""
    app_id: str = ""
    updated: int = 0


@dataclass(eq=False)
class SlackMessage:
    """A message, or an ephemeral one, which only `ephemeral_to` sees until they reload."""

    ts: str
    channel: SlackChannel
    author: SlackUser
    text: str
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    files: list[SlackFile] = field(default_factory=list)
    thread_ts: str | None = None
    """The parent's, for a reply; None for a message in the channel itself."""
    is_broadcast: bool = False
    subtype: str | None = None
    client_msg_id: str | None = None
    edited_ts: str | None = None
    edited_by: SlackUser | None = None
    metadata: Json | None = None
    reactions: dict[str, list[SlackUser]] = field(default_factory=dict)
    ephemeral_to: SlackUser | None = None
    is_deleted: bool = False
    unfurls: bool = True

    @property
    def thread(self) -> str:
        """The timestamp of the thread it belongs to or would start."""
        return self.thread_ts or self.ts


@dataclass(eq=False)
class SlackChannel:
    """A conversation: a public or private channel, or a direct message."""

    id: str
    name: str
    team: SlackWorkspace
    created: int
    creator: SlackUser
    kind: Literal["channel", "group", "im"] = "channel"
    topic: str = ""
    purpose: str = ""
    is_archived: bool = False
    shared_with: list[SlackWorkspace] = field(default_factory=list)
    """Other organizations' workspaces that are in it."""
    is_pending_ext_shared: bool = False
    members: list[SlackUser] = field(default_factory=list)
    messages: list[SlackMessage] = field(default_factory=list)
    ephemerals: list[SlackMessage] = field(default_factory=list)
    previous_names: list[str] = field(default_factory=list)

    @property
    def is_ext_shared(self) -> bool:
        """Whether another organization is in it."""
        return bool(self.shared_with)

    def message(self, ts: str) -> SlackMessage | None:
        """The message with this timestamp, unless it was deleted."""
        found = (one for one in self.messages if one.ts == ts and not one.is_deleted)
        return next(found, None)

    def replies(self, ts: str) -> list[SlackMessage]:
        """What was answered to a message, oldest first."""
        return [one for one in self.messages if one.thread_ts == ts and not one.is_deleted]


@dataclass(eq=False)
class SlackFile:
    """An uploaded file; `is_shared` once a message has it."""

    id: str
    name: str
    title: str
    owner: SlackUser
    size: int
    created: int
    alt_text: str = ""
    content: bytes | None = None
    shares: list[tuple[SlackChannel, str]] = field(default_factory=list)


@dataclass(frozen=True)
class SlackApp:
    """The App as registered. `scopes` are what its bot gets where it is installed."""

    id: str = "A0HONK00001"
    name: str = "Honk"
    bot_name: str = "honk"
    client_id: str = "100000000001.200000000001"
    client_secret: str = "playground-slack-client-secret"
    signing_secret: str = "0123456789abcdef0123456789abcdef"
    app_token: str = "xapp-1-A0HONK00001-300000000001-0123456789abcdef"
    verification_token: str = "playground-verification"
    scopes: tuple[str, ...] = (
        "app_mentions:read",
        "channels:history",
        "channels:read",
        "chat:write",
        "commands",
        "files:read",
        "files:write",
        "groups:history",
        "groups:read",
        "im:history",
        "im:read",
        "im:write",
        "reactions:write",
        "users:read",
    )
    user_scopes: tuple[str, ...] = ("openid", "email", "profile")
    events: tuple[str, ...] = (
        "app_home_opened",
        "app_mention",
        "app_uninstalled",
        "member_joined_channel",
        "message.channels",
        "message.groups",
        "message.im",
        "reaction_added",
        "tokens_revoked",
    )
    commands: tuple[str, ...] = ("/honk",)
    shortcuts: tuple[str, ...] = ("ask_honk",)
    """The callback ids of its message shortcuts."""
    redirect_urls: tuple[str, ...] = ()
    """Where people return after signing in; empty allows any."""

    @classmethod
    def from_manifest(cls, manifest: Json) -> SlackApp:
        """The App that Slack creates from a manifest, with the credentials of the playground.

        Raises KeyError when the manifest lacks what Slack requires.
        """
        features, oauth = manifest["features"], manifest["oauth_config"]
        bot = oauth["scopes"].get("bot", [])
        events = manifest["settings"].get("event_subscriptions", {}).get("bot_events", [])
        shortcuts = features.get("shortcuts", [])
        return cls(
            name=manifest["display_information"]["name"],
            bot_name=features["bot_user"]["display_name"].lower(),
            scopes=tuple(bot),
            user_scopes=tuple(oauth["scopes"].get("user", [])),
            events=tuple(events),
            commands=tuple(each["command"] for each in features.get("slash_commands", [])),
            shortcuts=tuple(one["callback_id"] for one in shortcuts if one["type"] == "message"),
            redirect_urls=tuple(oauth.get("redirect_urls", [])),
        )


@dataclass(eq=False)
class SlackInstallation:
    """The App in one workspace."""

    team: SlackWorkspace
    bot: SlackUser
    token: str
    scopes: tuple[str, ...]


@dataclass(eq=False)
class SlackToken:
    """A credential. `installation` is None for a person's own token."""

    text: str
    user: SlackUser
    scopes: tuple[str, ...]
    installation: SlackInstallation | None = None
    is_revoked: bool = False


@dataclass
class SlackSignIn:
    """A code that a person brought back from Slack, for one exchange."""

    user: SlackUser
    redirect_uri: str
    nonce: str
    scopes: tuple[str, ...]
    at: float


@dataclass(eq=False)
class InteractionTrigger:
    """Lets the App open one view for a person, within three seconds."""

    id: str
    user: SlackUser
    at: float
    is_used: bool = False


@dataclass(eq=False)
class ResponseUrl:
    """Lets the App answer an interaction five times within half an hour."""

    path: str
    channel: SlackChannel
    user: SlackUser
    at: float
    message: SlackMessage | None = None
    uses: int = 0


@dataclass(eq=False)
class SlackView:
    """A modal or Home tab that one person sees."""

    id: str
    user: SlackUser
    view: Json
    hash: str
    is_open: bool = True


@dataclass
class SlackRecord:
    """One call of the Web API, or a post to a response URL, and its answer."""

    method: str
    arguments: Json
    status: int
    answer: Any
    who: str
    at: float
    http_method: str = "POST"
    fault: bool = False
    """An order in `faults` made this answer."""


class SlackWorld:
    """All state."""

    def __init__(self, app: SlackApp) -> None:
        self.app = app
        self.url = ""
        self.clock = Clock()
        self.limits = SlackLimits()
        self.faults = SlackFaults()
        self.deliveries = SlackDeliveries(
            lambda: self.app.signing_secret, lambda: self.faults.is_away
        )
        self.previews = LinkPreviews()
        self.teams: dict[str, SlackWorkspace] = {}
        self.users: dict[str, SlackUser] = {}
        self.channels: dict[str, SlackChannel] = {}
        self.installations: dict[str, SlackInstallation] = {}
        self.tokens: dict[str, SlackToken] = {}
        self.files: dict[str, SlackFile] = {}
        self.views: dict[str, SlackView] = {}
        self.homes: dict[str, SlackView] = {}
        """By user id."""
        self.triggers: dict[str, InteractionTrigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.statuses: dict[tuple[str, str], str] = {}
        """What the App says that it is doing, by channel id and thread."""
        self.sign_ins: dict[str, SlackSignIn] = {}
        self.records: list[SlackRecord] = []
        self._numbers: Iterator[int] = itertools.count(1)
        self._last_ts = 0

    @functools.cached_property
    def signing_key(self) -> rsa.RSAPrivateKey:
        """Signs the tokens of people who sign in."""
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def new_id(self, letter: str) -> str:
        """An id as Slack makes them: a letter for the kind, then 10 letters and digits."""
        return f"{letter}0PG{next(self._numbers):07d}"

    def new_ts(self) -> str:
        """A timestamp later than any before: it is the id of a message in its channel."""
        micros = max(int(self.clock.timestamp() * 1_000_000), self._last_ts + 100)
        self._last_ts = micros
        return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"

    def now(self) -> float:
        """Seconds since 1970."""
        return self.clock.timestamp()

    def new_token(self, kind: str) -> str:
        """A credential's text; `kind` is `xoxb` for a bot, `xoxp` for a person."""
        return f"{kind}-{next(self._numbers):012d}-{secrets.token_hex(12)}"

    def team(self, domain: str) -> SlackWorkspace:
        """A workspace by its domain. Raises KeyError."""
        return next(one for one in self.teams.values() if one.domain == domain)

    def bot_in(self, team: SlackWorkspace) -> SlackInstallation | None:
        """The App's installation in a workspace."""
        return self.installations.get(team.id)

    def direct_message(self, user: SlackUser, other: SlackUser) -> SlackChannel:
        """The direct message between two accounts; made when it is missing."""
        for channel in self.channels.values():
            if channel.kind == "im" and {*channel.members} == {user, other}:
                return channel
        channel = SlackChannel(
            self.new_id("D"), "", user.team, int(self.now()), user, kind="im", members=[user, other]
        )
        self.channels[channel.id] = channel
        return channel

    def new_trigger(self, user: SlackUser) -> str:
        """A trigger id for something that a person just did."""
        text = f"{next(self._numbers)}.{user.team.id}.{secrets.token_hex(8)}"
        self.triggers[text] = InteractionTrigger(text, user, self.now())
        return text

    def new_response_url(
        self, user: SlackUser, channel: SlackChannel, message: SlackMessage | None
    ) -> str:
        """A URL with which the App can answer without a token."""
        kind = "actions" if message else "commands"
        path = f"/{kind}/{user.team.id}/{next(self._numbers)}/{secrets.token_hex(12)}"
        self.response_urls[path] = ResponseUrl(path, channel, user, self.now(), message)
        return self.url + path

    def take_trigger(self, text: str) -> SlackUser:
        """The person whose trigger this is, once. Raises SlackRefusal."""
        trigger = self.triggers.get(text)
        if trigger is None:
            raise SlackRefusal("invalid_trigger_id")
        if trigger.is_used:
            raise SlackRefusal("exchanged_trigger_id")
        if self.now() - trigger.at > TRIGGER_SECONDS:
            raise SlackRefusal("expired_trigger_id")
        trigger.is_used = True
        return trigger.user


TRIGGER_SECONDS = 3.0
RESPONSE_SECONDS = 1800.0
RESPONSE_USES = 5
