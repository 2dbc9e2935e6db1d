"""Referrers: the site, the page and the search terms of a referer, and referers that strangers make up."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits.errors import UsageError
from fasthits.rules.referrers import own_host, referrer_page, referrer_site
from fasthits.rules.searches import MAX_PARAMETERS, TERMS_CHARACTERS, find_search
from tests.support.strategies import escape, escaped


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("https://Example.com/a.b", "try --own-host example.com"),
        ("www.example.com,example.com", "try --own-host www.example.com --own-host example.com"),
        ("*.example.com", "try --own-host example.com"),
        (".example.com", "try --own-host example.com"),
        (" example.com", "try --own-host example.com"),
        ("example.com:443", "try --own-host example.com"),
        ("https://me@[2001:db8::7]:443/", "try --own-host [2001:db8::7]"),
        ("b\xfccher.example", "as browsers send it: example.org, or xn--bcher-kva.example"),
        ("", "as browsers send it: example.org, or xn--bcher-kva.example"),
    ],
)
def test_an_own_host_that_no_referer_can_have_is_refused(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        own_host(text)
    assert str(error.value) == f"not a host: {text!r} ({hint})"


def test_own_hosts_are_compared_without_case_and_final_dot() -> None:
    hosts = ["example.com", "Example.com.", "localhost", "192.0.2.7", "[2001:DB8::7]", "a_b.example"]
    assert [own_host(host) for host in hosts] == [
        *("example.com", "example.com", "localhost", "192.0.2.7", "[2001:db8::7]", "a_b.example")
    ]


OWN = {"example.com", "localhost"}


@pytest.mark.parametrize(
    ("referer", "site", "page"),
    [
        (b"-", None, None),
        (b"", None, None),
        (b"https://example.org/", "example.org", "https://example.org/"),
        (b"https://example.org", "example.org", "https://example.org/"),
        (b"http://Example.ORG/A?b#c", "example.org", "http://example.org/A"),
        (b"http://example.org:8080/a", "example.org", "http://example.org/a"),
        (b"http://example.org./a", "example.org", "http://example.org/a"),
        (b"https://user:secret@example.org/a", "example.org", "https://example.org/a"),
        (b"https://www.example.org?a", "www.example.org", "https://www.example.org/"),
        (b"https://xn--bcher-kva.example/", "xn--bcher-kva.example", "https://xn--bcher-kva.example/"),
        (b"https://192.0.2.7/a", "192.0.2.7", "https://192.0.2.7/a"),
        (b"https://[2001:DB8::7]:443/a", "[2001:db8::7]", "https://[2001:db8::7]/a"),
        (b"android-app://com.google.android.gm/", "com.google.android.gm", "android-app://com.google.android.gm/"),
        (b"https://o/caf\\xc3\\xa9/%7ejo\\\"", "o", "https://o/caf%C3%A9/~jo%22"),
        (b"https://example.com/a", None, None),
        (b"https://www.Example.com/a", None, None),
        (b"https://notexample.com/a", "notexample.com", "https://notexample.com/a"),
        (b"http://localhost:8000/", None, None),
        (b"https://example.com@evil.example/", "evil.example", "https://evil.example/"),
        (b"https://evil.example#@example.com/", "evil.example", "https://evil.example/"),
        (b"https:///a", None, None),
        (b"https://./a", None, None),
        (b"https://a b/", None, None),
        (b"https://<script>/", None, None),
        (b"https://caf\\xc3\\xa9.example/", None, None),
        (b"https://%s/" % (b"a" * 254), None, None),
        (b"javascript:alert(1)", None, None),
        (b"data:text/html,x", None, None),
        (b"about:blank", None, None),
        (b"example.org/a", None, None),
        (b"file:///etc/passwd", None, None),
        (b"https://o/\\x1b[31m", "o", "https://o/%1B[31m"),
        (b"https://o/<script>", "o", "https://o/%3Cscript%3E"),
    ],
)  # fmt: skip
def test_the_site_and_the_page_of_a_referer(referer: bytes, site: str | None, page: str | None) -> None:
    assert referrer_site(referer, OWN) == site
    assert referrer_page(referer, OWN) == page


heads = st.sampled_from(
    [b"https://", b"http://o.example/", b"https://www.google.com/search?q=", b"http://[", b"//", b""]
)
referers = st.builds(lambda head, rest: head + rest, heads, st.one_of(escaped, st.binary(max_size=30)))


@given(referers)
def test_a_site_is_plain_text_for_any_referer(referer: bytes) -> None:
    site, page = referrer_site(referer, ()), referrer_page(referer, ())
    assert (site is None) == (page is None)
    if site is not None and page is not None:
        assert re.fullmatch(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]", site)
        assert re.fullmatch(r"[!#-;=?-\[\]_a-z~%]+", page)
        assert site in page


@pytest.mark.parametrize(
    ("referer", "search"),
    [
        (b"https://www.google.com/", None),
        (b"https://www.google.de/search?hl=de&q=caf%C3%A9+Berlin", ("Google", "café berlin")),
        (b"https://www.google.co.uk/search?q=", None),
        (b"https://www.bing.com/search?q=two%20%20words&log_format=QBLH", ("Bing", "two words")),
        (b"https://duckduckgo.com/?q=apache+logs", ("DuckDuckGo", "apache logs")),
        (b"https://www.ecosia.org/search?q=trees", ("Ecosia", "trees")),
        (b"https://yandex.ru/search/?text=%D0%BB%D0%BE%D0%B3", ("Yandex", "лог")),
        (b"https://search.yahoo.com/search?p=logs", ("Yahoo!", "logs")),
        (b"https://www.baidu.com/s?wd=%E6%97%A5%E5%BF%97", ("Baidu", "日志")),
        (b"https://www.google.com/search?q=caf\\xc3\\xa9", ("Google", "café")),
        (b"https://www.google.com/search?q=a%00b%1B[31m%0Ac", ("Google", "a b [31m c")),
        (b"https://www.google.com/search?q=%FF", ("Google", "\N{REPLACEMENT CHARACTER}")),
        (b"https://www.google.com/search?q=" + b"x" * 999, ("Google", "x" * TERMS_CHARACTERS)),
        (b"https://www.google.com/search?q=a&q=b", ("Google", "a")),
        (b"https://www.google.com/search?a&b=&q=a#q=b", ("Google", "a")),
        (b"HTTPS://WWW.GOOGLE.COM:443/search?q=A", ("Google", "a")),
        (b"https://www.google.com/url?q=https://example.org/", None),
        (b"https://www.google.com.evil.example/search?q=a", None),
        (b"https://google.evil.example/search?q=a", None),
        (b"https://evil.example/www.google.com/search?q=a", None),
        (b"https://user@www.google.com/search?q=a", None),
        (b"https://de.search.yahoo.com/search;_ylt=x?p=a", ("Yahoo!", "a")),
        (b"https://m.baidu.com/from=0/s?word=a", ("Baidu", "a")),
        (b"https://search.brave.com/search?q=a", ("Brave", "a")),
        (b"https://go.mail.ru/search?q=a", ("Mail.ru", "a")),
        (b"https://www.google.com/search?" + b"&" * 5000 + b"q=a", None),
        (b"https://www.google.com/search?" + b"x=1&" * (MAX_PARAMETERS - 1) + b"q=a", ("Google", "a")),
        (b"https://example.org/search?q=a", None),
        (b"-", None),
        (b"", None),
        (b"http://[::1/?q=a", None),
        (b"\xff\xfe", None),
    ],
)
def test_the_terms_of_a_search(referer: bytes, search: tuple[str, str] | None) -> None:
    assert find_search(referer) == search


@given(st.text(max_size=12), referers)
def test_terms_are_printable_for_any_referer(terms: str, referer: bytes) -> None:
    raw = terms.encode("utf-8", "surrogatepass")
    for sent in (referer, b"https://www.google.com/search?q=" + escape(raw)):
        found = find_search(sent)
        assert found is None or (found.terms.isprintable() and found.terms == found.terms.strip() != "")
