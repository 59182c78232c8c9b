"""Finds secrets that a change adds. They are never pushed, not even to the hidden ref.

Patterns and entropy come from `detect_secrets` (the maintained fork, bc-detect-secrets), with
newer tokens added. Its detectors are slow on whole files, so each runs only around a literal
part of its pattern. Results name place and kind, never the secret itself.

What counts where follows common practice (GitHub's push protection, gitleaks):
- the worker's own credentials, in any of the forms in `_forms`: everywhere, including file
names;
- tokens in a provider's format: everywhere, except documented examples, placeholders and values
with too little entropy;
- private keys, JSON web tokens, passwords in addresses and random values that are called a
  password: not in tests, fixtures, documentation and lock files, where they are made up as a rule.
Comments that tell scanners to skip a line are ignored: the author of a secret could add them.
"""

from __future__ import annotations

import base64
import bisect
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import NamedTuple
from urllib.parse import quote

from app.domain.diff import SUBMODULE, Diff, FileDiff
from app.domain.flag import Flag, Kind

MAX_FOUND = 100
"""Most findings reported for one file; the rest is not scanned, since one is enough to refuse
it."""

NOT_LOOKED_AT = "too large to scan for secrets"

SHORTEST_KNOWN = 8
"""Shorter credentials of the worker are not searched: they would match too much."""

_BEFORE, _AFTER, _STEP = 120, 600, 300
_LEAST_ENTROPY = 3.0
_LEAST_RANDOM = 3.5
_SHORTEST_RANDOM = 16
_SHORTEST_PASSWORD = 10


class FoundSecret(NamedTuple):
    """A secret: `line` counts from 1, None for one in the file's name. `kind` is for people."""

    path: str
    line: int | None
    kind: str


@dataclass(frozen=True)
class _Detector:
    """`anchors` are literals, one of which is in every match; without any, the patterns are fast
    by themselves. `tokens`: in a provider's format, and so reported everywhere.
    """

    name: str
    anchors: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]
    tokens: bool = True
    many_lines: bool = False
    random: bool = False


def _own(name: str, anchors: str, pattern: str) -> _Detector:
    return _Detector(name, tuple(anchors.split()), (re.compile(rf"(?<![A-Za-z0-9_-])({pattern})"),))


_OWN = (
    _own("GitHub token", "github_pat_", r"github_pat_[A-Za-z0-9_]{60,255}"),
    _own("GitHub token", "ghs_", r"ghs_[A-Za-z0-9_.-]{36,600}"),
    _own("Anthropic key", "sk-ant-", r"sk-ant-[A-Za-z0-9_-]{32,200}"),
    _own(
        "OpenAI key",
        "sk-proj- sk-svcacct- sk-admin-",
        r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,200}",
    ),
    _own("GitLab token", "glpat-", r"glpat-[A-Za-z0-9_.-]{20,100}"),
    _own("Google key", "AIza", r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    _own("Google secret", "GOCSPX-", r"GOCSPX-[A-Za-z0-9_-]{28}"),
    _own("npm token", "npm_", r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    _own("PyPI token", "pypi-AgE", r"pypi-AgE[A-Za-z0-9_-]{50,1000}"),
    _own("Hugging Face token", "hf_", r"hf_[A-Za-z]{34}(?![A-Za-z0-9])"),
    _own("DigitalOcean token", "dop_v1_ doo_v1_ dor_v1_", r"do[opr]_v1_[a-f0-9]{64}"),
    _own("Slack token", "xapp-", r"xapp-\d-[A-Z0-9]+-\d+-[a-z0-9]{32,}"),
    _own("Shopify token", "shpat_ shpca_ shppa_ shpss_", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    _own("Telegram token", ":AA", r"\d{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])"),
    _own("Docker Hub token", "dckr_", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,}"),
    _own("Databricks token", "dapi", r"dapi[a-f0-9]{32}(?![a-f0-9])"),
    _own("Grafana token", "glsa_", r"glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}"),
    _own("Vault token", "hvs.", r"hvs\.[A-Za-z0-9_-]{24,}"),
    _own("Linear key", "lin_api_", r"lin_api_[A-Za-z0-9]{40}"),
)
_VALUE = re.compile(r"[=:]>?\s{0,3}['\"`]?([A-Za-z0-9+/_=.~!@#%^&*-]{16,256})")
_CALLED = re.compile(
    r"(?:key|passw(?:or)?d|passphrase|pwd|secret|token|credentials?|auth)[\w-]{0,30}['\"]?\]?\s{0,3}:?$",
    re.IGNORECASE,
)
_NAME = 60
_NOT_A_VALUE = re.compile(
    r"^(?:https?:|file:|\.{0,2}/|[\w.-]+\.(?:py|js|ts|json|ya?ml|com|org|io)$|sha\d+-|v?\d+(?:\.\d+)+"
    r"|[A-Z_][A-Z0-9_]*$|[a-z]+(?:[A-Z][a-z]+)*$|[\w-]+(?:\.[A-Za-z_][\w-]*)+$"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-)"
)
_PLACEHOLDER = re.compile(
    r"EXAMPLE|example|0123456789|1234567890|abcdefghij|ABCDEFGHIJ|deadbeef|(.)\1{5}|your[_-]|YOUR_"
    r"|placeholder|changeme|change-me|redacted|REDACTED|dummy|not[_-]?a[_-]?real|fake|xxxx|XXXX"
    r"|eyJzdWIiOiIxMjM0NTY3ODkw|<[a-z]|\$\{|\{\{",
)
_MADE_UP_THERE = re.compile(
    r"(?:^|/)(?:tests?|__tests__|specs?|testdata|fixtures?|examples?|samples?|docs?|e2e|mocks?)/"
    r"|(?:^|/)(?:test_|conftest)[^/]*$|[._-](?:test|spec)\.\w+$|_test\.\w+$|Tests?\.(?:java|kt)$"
    r"|\.(?:md|rst|adoc|snap|svg|ipynb)$|(?:^|/)[^/]*[-.]lock(?:\.\w+)?$|(?:^|/)go\.sum$"
    r"|(?:^|/)npm-shrinkwrap\.json$|\.lock$",
    re.IGNORECASE,
)


def find(content: bytes, path: str) -> tuple[FoundSecret, ...]:
    """Find secrets in a whole file. Never raises for its contents."""
    found = _scan(content.decode("latin-1"), path, None)
    return tuple(dict.fromkeys(islice(found, MAX_FOUND)))


def added_secrets(diff: Diff, known: Sequence[str] = ()) -> tuple[FoundSecret, ...]:
    """Find secrets in the lines that a change adds and in file names.

    `known` are the worker's own credentials, which are found in encoded forms too. A file whose
    content was too large to load is reported, since it could hold a secret.
    """
    needles = tuple(dict.fromkeys(form for value in known for form in _forms(value)))
    found: list[FoundSecret] = []
    for each in diff.files:
        file = diff.before_rename(each)
        if file.is_deleted:
            continue
        if file.new is None and file.new_mode != SUBMODULE:
            found.append(FoundSecret(file.path, None, NOT_LOOKED_AT))
        found.extend(_credentials(file, needles))
        found.extend(islice(_added(file), MAX_FOUND))
    return tuple(dict.fromkeys(found))


def as_flags(found: Iterable[FoundSecret]) -> tuple[Flag, ...]:
    """Turn findings into flags."""
    return tuple(
        Flag(
            kind=Kind.SECRET,
            file=path,
            line=line,
            reason=f"This is {kind}."
            if kind == NOT_LOOKED_AT
            else f"This looks like a secret: {kind}.",
        )
        for path, line, kind in found
    )


def _added(file: FileDiff) -> Iterator[FoundSecret]:
    if file.new is None:
        return
    if file.old is None:
        yield from _scan(file.new.decode("latin-1"), file.path, None)
        return
    lines = file.added_lines
    text = b"\n".join(line for _, line in lines).decode("latin-1")
    yield from _scan(text, file.path, [number for number, _ in lines])


def _credentials(file: FileDiff, needles: Sequence[bytes]) -> Iterator[FoundSecret]:
    """Find the worker's own credentials in the content or the name."""
    name = file.path.encode("utf-8", "surrogateescape")
    kind = "one of this Honk's credentials"
    if any(needle in name for needle in needles):
        yield FoundSecret("(a file name)", None, kind)
    content = file.new or b""
    for needle in needles:
        at = content.find(needle)
        if at >= 0 and needle not in (file.old or b""):
            yield FoundSecret(file.path, content.count(b"\n", 0, at) + 1, kind)


def _forms(value: str) -> Iterator[bytes]:
    """A credential, its encoded forms and, if it has several lines, its long lines."""
    parts = (
        [value]
        if "\n" not in value.strip()
        else [line for line in value.splitlines() if len(line) >= 40 and "-----" not in line]
    )
    for part in parts:
        plain = part.strip().encode()
        if len(plain) < SHORTEST_KNOWN:
            continue
        yield from (plain, plain[::-1], plain.hex().encode(), plain.hex().upper().encode())
        yield from (quote(part.strip(), safe="").encode(), part.strip().encode("utf-16-le"))
        yield base64.b32encode(plain).rstrip(b"=")[:-1]
        for shift in range(3):
            # Neighboring bytes change the characters at both ends.
            whole = base64.b64encode(b"\0" * shift + plain).rstrip(b"=")
            inner = whole[(shift * 4 + 2) // 3 : -1]
            yield inner
            yield inner.translate(bytes.maketrans(b"+/", b"-_"))


class _LineEnds:
    """Maps an offset in the text to its line number."""

    def __init__(self, text: str, numbers: Sequence[int] | None) -> None:
        self._text = text
        self._numbers = numbers
        self._ends: list[int] | None = None

    def line(self, at: int) -> int:
        if self._ends is None:
            self._ends = [found.start() for found in re.finditer("\n", self._text)]
        number = bisect.bisect_left(self._ends, at)
        return number + 1 if self._numbers is None else self._numbers[number]


def _scan(text: str, path: str, numbers: Sequence[int] | None) -> Iterator[FoundSecret]:
    """Run a detector around each of its anchors. `numbers` are the line numbers of the text."""
    ends = _LineEnds(text, numbers)
    made_up = bool(_MADE_UP_THERE.search(path))
    for detector in _detectors():
        if made_up and not detector.tokens:
            continue
        for start, window in _windows(detector, text):
            if _matches(detector, window):
                yield FoundSecret(path, ends.line(start), detector.name)
    if not made_up:
        yield from _random_values(text, path, ends)


def _windows(detector: _Detector, text: str) -> Iterator[tuple[int, str]]:
    for anchor in detector.anchors:
        yield from _places(text, anchor, detector.many_lines)
    if not detector.anchors:
        for pattern in detector.patterns:
            yield from ((found.start(), found.group()) for found in pattern.finditer(text))


def _places(text: str, anchor: str, many_lines: bool) -> Iterator[tuple[int, str]]:
    """The text around each occurrence, as wide as a match can be; overlapping windows are
    merged."""
    at = text.find(anchor)
    while at >= 0:
        first, last = max(0, at - _BEFORE), at + _AFTER
        if not many_lines:
            first = max(first, text.rfind("\n", first, at) + 1)
            end = text.find("\n", at, last)
            last = end if end >= 0 else last
        yield at, text[first:last]
        # A window covers matches that begin in its first part; the next window begins where that
        # ends.
        at = text.find(anchor, min(last, at + _STEP) if last > at + len(anchor) else last)


def _matches(detector: _Detector, window: str) -> bool:
    for pattern in detector.patterns:
        for found in pattern.finditer(window):
            value = max((each for each in found.groups() if each), key=len, default=found.group())
            whole = value if len(value) >= SHORTEST_KNOWN else found.group()
            if detector.tokens and _entropy(whole) < _LEAST_ENTROPY:
                continue
            if detector.random and not _is_random(value, _SHORTEST_PASSWORD):
                continue
            # A private key can contain runs of zeroes, which look like a placeholder.
            if detector.many_lines or not _PLACEHOLDER.search(found.group()):
                return True
    return False


def _random_values(text: str, path: str, ends: _LineEnds) -> Iterator[FoundSecret]:
    """Random-looking values that are named like a password or key."""
    for found in _VALUE.finditer(text):
        if _is_random(found.group(1)):
            name = text[max(0, found.start() - _NAME) : found.start()]
            if _CALLED.search(name):
                yield FoundSecret(
                    path, ends.line(found.start()), "a random value named like a secret"
                )


def _is_random(value: str, shortest: int = _SHORTEST_RANDOM) -> bool:
    if _NOT_A_VALUE.match(value) or _PLACEHOLDER.search(value):
        return False
    digits = sum(each.isdigit() for each in value)
    letters = sum(each.isalpha() for each in value)
    mixed = digits >= shortest // 5 and letters >= shortest // 5
    least = _LEAST_RANDOM if shortest == _SHORTEST_RANDOM else _LEAST_ENTROPY
    return mixed and len(value) >= shortest and _entropy(value) >= least


def _entropy(value: str) -> float:
    """Entropy in bits per character; 0 for values with few distinct characters, to save time."""
    if len(set(value)) < 1 << int(_LEAST_ENTROPY):
        return 0.0
    from detect_secrets.plugins.high_entropy_strings import Base64HighEntropyString

    return float(Base64HighEntropyString().calculate_shannon_entropy(value[:200]))


@cache
def _detectors() -> tuple[_Detector, ...]:
    """Honk's detectors and those of `detect_secrets`, imported on first use, which takes 0.15 s."""
    from detect_secrets.plugins import (
        artifactory,
        aws,
        azure_storage_key,
        basic_auth,
        discord,
        github_token,
        jwt,
        mailchimp,
        private_key,
        sendgrid,
        slack,
        square_oauth,
        stripe,
        twilio,
    )

    def kept(
        name: str, anchors: str, plugin: type, *, tokens: bool = True, **more: bool
    ) -> _Detector:
        return _Detector(name, tuple(anchors.split()), tuple(plugin().denylist), tokens, **more)

    return (
        *_OWN,
        kept("GitHub token", "ghp_ gho_ ghu_ ghr_", github_token.GitHubTokenDetector),
        kept("AWS key", "AKIA ASIA ABIA ACCA aws_ AWS_", aws.AWSKeyDetector),
        kept("Slack token", "xoxa xoxb xoxp xoxo xoxs xoxr hooks.slack.com", slack.SlackDetector),
        kept("Stripe key", "k_live_", stripe.StripeDetector),
        kept("SendGrid key", "SG.", sendgrid.SendGridDetector),
        kept("Square secret", "sq0csp", square_oauth.SquareOAuthDetector),
        kept("Twilio key", "", twilio.TwilioKeyDetector, tokens=False),
        kept("Mailchimp key", "-us", mailchimp.MailchimpDetector),
        kept("Discord token", "", discord.DiscordBotTokenDetector),
        kept("Artifactory key", "AKC AP", artifactory.ArtifactoryDetector, tokens=False),
        kept("Azure key", "AccountKey", azure_storage_key.AzureStorageKeyDetector),
        kept(
            "private key",
            "PRIVATE KEY",
            private_key.PrivateKeyDetector,
            tokens=False,
            many_lines=True,
        ),
        kept("JSON web token", "eyJ", jwt.JwtTokenDetector, tokens=False),
        kept("password in a URL", "", basic_auth.BasicAuthDetector, tokens=False, random=True),
    )
