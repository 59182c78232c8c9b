"""Which of the reported environments are shown, and which addresses people are sent to."""

from __future__ import annotations

import pytest

from app.domain.preview import MAX_LINKS, Reported, current, safe_url

URL = "https://shop-git-fix.example.dev/"


def reported(
    deployment: int, state: str = "success", environment: str = "Preview", url: str = URL
) -> Reported:
    return Reported(
        deployment=deployment,
        status=deployment * 10,
        environment=environment,
        state=state,
        url=url,
        reporter="vercel[bot]",
    )


def test_the_newest_deployment_of_an_environment_counts() -> None:
    (shown,) = current([reported(2), reported(1, url="https://old.example.dev/")])
    assert (shown.url, shown.host) == (URL, "shop-git-fix.example.dev")


@pytest.mark.parametrize("state", ["failure", "error", "inactive", "in_progress", "queued", "?"])
def test_a_newer_deployment_without_a_page_hides_the_older_page(state: str) -> None:
    assert current([reported(1), reported(2, state)]) == ()


def test_environments_are_independent_and_bounded() -> None:
    many = [reported(number, environment=f"site {number}") for number in range(1, 30)]
    assert len(current(many)) == MAX_LINKS
    assert [each.environment for each in current([*many[:2], reported(40, "failure", "site 1")])]


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example.dev/",
        "javascript:alert(1)",
        "https://user:word@shop.example.dev/",
        "https://github.com@shop.example.dev/",
        "https://localhost/",
        "https://shop.example.dev/ [more](https://evil.example)",
        "https://shop.example.dev/>",
        "https://shop.example.dev/`",
        "https://shop.example.dev/\n",
        "https://shop.example.dev/]",
        "https://xn--\u0430pple.example/",
        "https://\u0430pple.example/",
        "https://shop.example.dev:99999/",
        "https://shop.example.dev\\@evil.example/",
        "https://[::1]/",
        "https:///path",
        "https://shop.example.dev/" + "a" * 500,
        "HTTPS://shop.example.dev/",
        "",
    ],
)
def test_addresses_that_people_are_not_sent_to(url: str) -> None:
    assert safe_url(url) is None
    assert current([reported(1, url=url)]) == ()


def test_an_address_cannot_end_its_link() -> None:
    assert safe_url("https://a.example/(x)?b=c#d") == "https://a.example/%28x%29?b=c#d"
    assert safe_url("https://A.Example:8443/~me/") == "https://A.Example:8443/~me/"
