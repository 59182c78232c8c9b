"""Secrets in what a change adds. Every token here is made while the test runs."""

from __future__ import annotations

import base64
import random
import string
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.diff import NO_FILE, PLAIN, SUBMODULE, Diff, FileDiff
from app.domain.flag import Kind
from app.integrity.secrets import (
    MAX_FOUND,
    FoundSecret,
    added_secrets,
    as_flags,
    find,
)

DICE = random.Random(7)
WORD = string.ascii_letters + string.digits


def some(count: int, letters: str = WORD) -> str:
    return "".join(DICE.choice(letters) for _ in range(count))


KEY = (
    "-----BEGIN RSA "
    + "PRIVATE KEY-----\n"
    + "\n".join(some(64) for _ in range(12))
    + "\n-----END RSA "
    + "PRIVATE KEY-----\n"
)
TOKENS = {
    "GitHub, classic": "ghp_" + some(36),
    "GitHub, App": "ghs_" + some(36),
    "GitHub, fine-grained": "github_pat_" + some(82),
    "Anthropic": "sk-ant-api03-" + some(95),
    "OpenAI": "sk-proj-" + some(64),
    "AWS": "AKIA" + some(16, string.ascii_uppercase + "234567"),
    "Slack": f"xoxb-{some(12, string.digits)}-{some(12, string.digits)}-{some(24)}",
    "Stripe": "sk_live_" + some(24),
    "Google": "AIza" + some(35),
    "GitLab": "glpat-" + some(20),
    "npm": "npm_" + some(36),
    "PyPI": "pypi-AgEIcHlwaS5vcmc" + some(80),
    "SendGrid": f"SG.{some(22)}.{some(43)}",
    "Discord": f"M{some(23)}.{some(6)}.{some(27)}",
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize("path", ["src/a.py", "tests/test_a.py", "docs/a.md", "a.bin"])
def test_a_provider_s_token_is_found_anywhere(token: str, path: str) -> None:
    (found,) = set(find(f"x = 1\ncall('{token}')\n".encode(), path))
    assert (found.path, found.line) == (path, 2)
    assert token not in repr(found)


@pytest.mark.parametrize(
    "line",
    [
        f"password = '{some(20)}7a3'",
        f'API_KEY: "{some(24)}9x1"',
        f"  client_secret={some(30)}0b2",
        f"postgres://admin:{some(16)}4d7@db.internal/x",
        f"session_token := `{some(32)}4c5`",
        "eyJhbGciOiJIUzI1NiJ9." + base64.b64encode(some(40).encode()).decode() + "." + some(43),
    ],
)
def test_what_is_called_a_secret_and_looks_random_is_found_in_code(line: str) -> None:
    assert [found.line for found in find(f"# x\n{line}\n".encode(), "src/settings.py")] == [2]
    assert not find(f"# x\n{line}\n".encode(), "tests/test_settings.py")


def test_a_private_key_is_found_in_code_and_not_among_fixtures() -> None:
    assert [found.kind for found in find(KEY.encode(), "deploy/key.pem")] == ["private key"]
    assert not find(KEY.encode(), "tests/fixtures/key.pem")


@pytest.mark.parametrize(
    "line",
    [
        "password = os.environ['PASSWORD']",
        'token = "test-token"',
        "api_key: ${{ secrets.API_KEY }}",
        "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
        "GITHUB_TOKEN=ghp_" + "x" * 36,
        "GITHUB_TOKEN=ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "secret = get_secret_from_vault('production/database')",
        "key = 'user.profile.settings.language'",
        "password: changeme-please-123456",
        "primary_key = 'customer_identifier_column'",
        "KEY = 'https://example.com/a1b2c3d4e5f6a7b8c9'",
        "url = 'postgres://user:${PASSWORD}@localhost/db'",
        "token_id = '123e4567-e89b-12d3-a456-426614174000'",
        "sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
        "commit = '1ba2f3a5d6c7e8f90123456789abcdef01234567'",
        "auth = requests.auth.HTTPBasicAuth(user, password)",
        "passwordField = document.querySelector('#password1')",
    ],
)
def test_what_is_plainly_no_secret_is_let_through(line: str) -> None:
    assert find(f"{line}\n".encode(), "src/a.py") == ()


def test_integrity_hashes_of_a_lock_file_are_no_secrets() -> None:
    lines = [f'"integrity": "sha512-{some(86)}==", "key": "{some(40)}1a2"' for _ in range(20)]
    assert find("\n".join(lines).encode(), "package-lock.json") == ()


def test_only_added_lines_count() -> None:
    old = f"a = 1\nt = '{TOKENS['npm']}'\n"
    assert not added_secrets(Diff((FileDiff.of("a.py", old, "# new\n" + old),)))
    (found,) = added_secrets(Diff((FileDiff.of("a.py", "a = 1\n", old),)))
    assert found == FoundSecret("a.py", 2, "npm token")
    (flag,) = as_flags((found,))
    assert (flag.kind, flag.line) == (Kind.SECRET, 2)


def test_a_file_that_moves_brings_no_new_secret() -> None:
    text = f"t = '{TOKENS['npm']}'\n"
    files = (FileDiff.of("a.py", text, None), FileDiff.of("b.py", None, text))
    assert not added_secrets(Diff(files, {"b.py": "a.py"}))


OWN = "s3cr3t/worker+credential=" + some(16)
FORMS = {
    "plain": OWN,
    "reversed": OWN[::-1],
    "hex": OWN.encode().hex(),
    "HEX": OWN.encode().hex().upper(),
    "in an address": quote(OWN, safe=""),
    "base64": base64.b64encode(OWN.encode()).decode(),
    "base64, within other words": base64.b64encode(f"x{OWN}yz".encode()).decode(),
    "base64, two before": base64.b64encode(f"ab{OWN}".encode()).decode(),
    "base64 of addresses": base64.urlsafe_b64encode(OWN.encode()).decode(),
    "base32": base64.b32encode(OWN.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("path", ["src/a.py", "tests/fixtures/a.bin"])
def test_the_worker_s_own_credentials_are_found_in_any_form(form: str, path: str) -> None:
    diff = Diff((FileDiff.of(path, None, f"\n\n.{form}.\n"),))
    own = FoundSecret(path, 3, "one of this Honk's credentials")
    assert own in added_secrets(diff, [OWN])
    assert own not in added_secrets(diff, [some(20)])


def test_a_credential_in_the_name_of_a_file_is_found_and_not_repeated() -> None:
    name = some(20)
    (found,) = added_secrets(Diff((FileDiff.of(f"a/{name}.txt", None, "x\n"),)), [name])
    assert name not in repr(found)


def test_a_line_of_the_worker_s_private_key_is_enough() -> None:
    part = KEY.splitlines()[4]
    assert added_secrets(Diff((FileDiff.of("tests/a.txt", None, f"{part}\n"),)), [KEY])


def test_what_was_too_large_to_load_is_reported() -> None:
    large = FileDiff("a.bin", None, None, NO_FILE, PLAIN, 0, 90_000_000)
    (flag,) = as_flags(added_secrets(Diff((large,))))
    assert flag.reason == "This is too large to scan for secrets."
    module = FileDiff("lib", None, None, NO_FILE, SUBMODULE)
    assert not added_secrets(Diff((module, FileDiff.of("b", "x", None))))


def test_short_credentials_and_none_are_no_reason_to_find_anything() -> None:
    assert not added_secrets(Diff((FileDiff.of("a.py", None, "test\n"),)), ["", "test"])


def _code() -> str:
    lines = [f"def function_{n}(token, key={n}):  # auth {n}" for n in range(1000)]
    lines += [f"    return compute(value_{n}, 'text of {n}') + lookup[{n}]" for n in range(4000)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "unit",
    [
        _code(),
        "password = 'correct horse battery'\n",
        "a.b:c/d-",
        "a=://-us1.",
        "x: [eyJ, AKIA]\n",
        "ghp_",
    ],
)
def test_five_megabytes_take_little_time(unit: str) -> None:
    text = (unit * (5_000_000 // len(unit))).encode()
    find(b"password = 'x'", "a.py")  # load the scanner
    began = time.process_time()
    assert find(text, "src/a.py") == ()
    assert time.process_time() - began < 8  # half a second, or two where it is hostile


def test_a_file_full_of_secrets_is_reported_in_part() -> None:
    lines = [f"ghp_{some(36)}" for _ in range(500)]
    assert len(find("\n".join(lines).encode(), "src/a.py")) == MAX_FOUND


def test_tokens_are_found_wherever_they_stand_in_a_long_line() -> None:
    for before in (0, 250, 299, 300, 301, 500, 599, 600, 700):
        text = f"ghp_ {'.' * before} {TOKENS['GitHub, classic']}".encode()
        assert len(find(text, "src/a.min.js")) == 1, before


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=2_000) | st.text(max_size=500).map(str.encode),
    st.sampled_from(["a.py", "tests/a", "\udcff"]),
    st.lists(st.text(max_size=40)),
)
def test_nothing_raises(content: bytes, path: str, known: list[str]) -> None:
    find(content, path)
    added_secrets(Diff((FileDiff.of(path, b"x\n", content),)), known)
