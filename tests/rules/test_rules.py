"""Rules: the options that they are made from, and the path that they make from a raw key."""

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import normalise, unescape
from fasthits.errors import UsageError
from fasthits.formats.named import JSON
from fasthits.records import replace
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.options import MAX_JSON_NAME, make_rules, parse_statuses
from fasthits.rules.paths import final_path, parameter_keeper, remove_dot_segments
from fasthits.rules.patterns import compile_globs
from fasthits.rules.rules import STATIC_ENDINGS, Rules
from tests.support.strategies import targets

PAGES = Rules(
    statuses=frozenset({*range(200, 300), 304}),
    exclude_static=True,
    bots="exclude",
    pages=frozenset({"methods", "statuses", "exclude_static", "bots"}),
)
"""What --pages counts."""

URI = re.compile(rb"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-F]{2})*")

segments = st.sampled_from(
    [
        *(b"a", b"A", b".", b"..", b"", b"index.html", b"index.php", b"%7e", b"%2E", b"%2f", b"%", b"%zz", b"%%41"),
        *(b"caf%c3%A9", b"\\xc3\\xa9", b"\\x3f", b"\\x25", b'\\"', b"\\\\", b"\\n", b"\\", b"\xc3\xa9", b" ", b"|"),
        *(b"#", b"x.css", b"...", b".a"),
    ]
)
paths = st.lists(segments, max_size=6).map(lambda parts: b"/" + b"/".join(parts))
parameters = st.sampled_from(
    [b"a=1", b"b=2", b"a", b"", b"=", b"utm_source=x", b"A=1", b"%61=1", b"b=%c3%a9", b"c=?", b"\\x26"]
)
queries = st.one_of(st.just(b""), st.lists(parameters, max_size=5).map(lambda parts: b"?" + b"&".join(parts)))
origins = st.sampled_from([b"", b"", b"", b"http://o.example", b"https://O.example:8080", b"HTTP://o"])
keys = st.one_of(
    st.builds(lambda *parts: b"".join(parts), origins, paths, queries), targets, st.binary(max_size=20), st.just(b"http://o")
)  # fmt: skip
globs = st.lists(st.sampled_from(["/*", "*a*", "/a", "*.css", "/[!a]*", "*?b=2", "/?", "*é*"]), max_size=2).map(tuple)
rules = st.builds(
    Rules,
    include_paths=globs,
    exclude_paths=globs,
    exclude_static=st.booleans(),
    keep_query=st.one_of(st.booleans(), st.lists(st.sampled_from(["a", "b", "utm_source", "%61", "é"])).map(tuple)),
    fold_slash=st.booleans(),
    decode=st.booleans(),
    by_host=st.booleans(),
)


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ("200", {200}),
        ("200,304", {200, 304}),
        ("2xx", set(range(200, 300))),
        ("2xx, 304", {*range(200, 300), 304}),
        ("400-404", {400, 401, 402, 403, 404}),
        ("000-001", {0, 1}),
        ("200,200,200-200", {200}),
    ],
)
def test_statuses(text: str, statuses: set[int]) -> None:
    assert parse_statuses(text) == statuses


@pytest.mark.parametrize(
    "text", ["", "20", "2000", "2x", "xx", "200,", "200-", "-200", "200 304", "OK", "٢٠٠", "404-400"]
)
def test_invalid_statuses_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_statuses(text)


@pytest.mark.parametrize(
    ("options", "key", "path", "reason"),
    [
        ({}, b"/a/?b", b"/a/?b", None),
        # static
        ({"exclude-static": True}, b"/a.css", b"/a.css", "static"),
        ({"exclude-static": True}, b"/A.PNG", b"/A.PNG", "static"),
        ({"exclude-static": True}, b"/a.css/b", b"/a.css/b", None),
        ({"exclude-static": True}, b"/a.pdf", b"/a.pdf", None),
        ({"exclude-static": True, "keep-query": True}, b"/a.css?v=3", b"/a.css?v=3", "static"),
        ({"exclude-static": True, "keep-query": True}, b"/a?b=c.css", b"/a?b=c.css", None),
        ({"exclude-static": True, "decode": True}, b"/a%2ecss", b"/a.css", "static"),
        # globs
        ({"exclude-path": "/admin/*"}, b"/admin/a/b", b"/admin/a/b", "path"),
        ({"exclude-path": "/admin/*"}, b"/admin", b"/admin", None),
        ({"exclude-path": "/admin/*"}, b"/x/admin/a", b"/x/admin/a", None),
        ({"exclude-path": ["/a", "*.xml"]}, b"/feed.xml", b"/feed.xml", "path"),
        ({"include-path": "/blog/*"}, b"/blog/a", b"/blog/a", None),
        ({"include-path": "/blog/*"}, b"/a", b"/a", "path"),
        ({"include-path": "/blog/*", "exclude-path": "*/draft*"}, b"/blog/draft1", b"/blog/draft1", "path"),
        ({"exclude-path": "/a.b"}, b"/axb", b"/axb", None),
        ({"exclude-path": "/a[0-9]"}, b"/a7", b"/a7", "path"),
        ({"exclude-path": "/é"}, "/é".encode(), "/é".encode(), "path"),
        ({"exclude-path": "*\n*"}, b"/a\nb", b"/a\nb", "path"),
        ({"exclude-path": "/a", "exclude-static": True}, b"/a.css", b"/a.css", "static"),
        ({"exclude-path": "/a*", "exclude-static": True}, b"/a.css", b"/a.css", "path"),
        ({"exclude-path": "*page=*", "keep-query": ["page"]}, b"/a?x&page=2", b"/a?page=2", "path"),
        ({"exclude-path": "*page=*"}, b"/a", b"/a", None),
        # queries
        ({"keep-query": True}, b"/a?b=1&c", b"/a?b=1&c", None),
        ({"keep-query": True}, b"/a?", b"/a?", None),
        ({"keep-query": "id,page"}, b"/a?page=2&utm=x&id=7&id=8", b"/a?page=2&id=7&id=8", None),
        ({"keep-query": "id"}, b"/a?ID=1&idx=2", b"/a", None),
        ({"keep-query": "id"}, b"/a?id", b"/a?id", None),
        ({"keep-query": "id"}, b"/a?", b"/a", None),
        ({"keep-query": "id"}, b"/a?x=1?id=2", b"/a", None),
        ({"keep-query": "id", "decode": True}, b"/a?%69d=%c3%a9", b"/a?id=%C3%A9", None),
        ({"keep-query": "q", "decode": True}, b"/a?q=a%26b%3D%20c+d", b"/a?q=a%26b%3D%20c+d", None),
        # slashes
        ({"fold-slash": True}, b"/", b"/", None),
        ({"fold-slash": True}, b"/page/", b"/page", None),
        ({"fold-slash": True}, b"/page", b"/page", None),
        ({"fold-slash": True}, b"/page//", b"/page", None),
        ({"fold-slash": True}, b"//", b"/", None),
        ({"fold-slash": True}, b"/page/index.html", b"/page", None),
        ({"fold-slash": True}, b"/index.php", b"/", None),
        ({"fold-slash": True}, b"/index.htm", b"/", None),
        ({"fold-slash": True}, b"/my-index.html", b"/my-index.html", None),
        ({"fold-slash": True}, b"/index.html.bak", b"/index.html.bak", None),
        ({"fold-slash": True, "keep-query": True}, b"/page/?a=/", b"/page?a=/", None),
        ({"fold-session": True}, b"/page;jsessionid=1F2A.node1", b"/page", None),
        ({"fold-session": True}, b"/a;JSESSIONID=1/b;v=2;jsessionid=", b"/a/b;v=2", None),
        ({"fold-session": True, "fold-slash": True}, b"/page/;jsessionid=1", b"/page", None),
        ({"fold-session": True, "keep-query": True}, b"/a;jsessionid=1?a;jsessionid=2", b"/a?a;jsessionid=2", None),
        ({"fold-session": True, "by-host": True}, b"[::1] /page;jsessionid=1", b"//[::1]/page", None),
        ({}, b"/page;jsessionid=1", b"/page;jsessionid=1", None),
        ({"exclude-static": True}, b"/logo.png;x", b"/logo.png;x", "static"),
        ({"exclude-static": True}, b"/a.png;x/page", b"/a.png;x/page", None),
        ({"exclude-static": True}, b"/page;x.png", b"/page;x.png", None),
        ({"fold-slash": True}, b"http://o/", b"http://o/", None),
        ({"fold-slash": True}, b"http://o", b"http://o/", None),
        ({"fold-slash": True}, b"http://", b"http:///", None),
        # encodings
        ({"decode": True}, b"/caf%C3%A9", b"/caf%C3%A9", None),
        ({"decode": True}, b"/caf%c3%a9", b"/caf%C3%A9", None),
        ({"decode": True}, b"/caf\\xc3\\xa9", b"/caf%C3%A9", None),
        ({"decode": True}, b"/caf\\xC3\\xA9", b"/caf%C3%A9", None),
        ({"decode": True}, "/café".encode(), b"/caf%C3%A9", None),
        ({"decode": True}, b"/%7Euser/%41%2d", b"/~user/A-", None),
        ({"decode": True}, b"/a%2fb%3F", b"/a%2Fb%3F", None),
        ({"decode": True}, b'/a\\"b\\\\c', b"/a%22b%5Cc", None),
        ({"decode": True}, b"/a\\n\\t", b"/a%0A%09", None),
        ({"decode": True}, b"/100%", b"/100%25", None),
        ({"decode": True}, b"/%zz%", b"/%25zz%25", None),
        ({"decode": True}, b"/a|b{c}", b"/a%7Cb%7Bc%7D", None),
        ({"decode": True}, b"/a?b", b"/a%3Fb", None),
        ({"decode": True}, b"/a\\x3fb", b"/a%3Fb", None),
        ({"decode": True}, b"/a/./b/../c", b"/a/c", None),
        ({"decode": True}, b"/%2e%2E/a/%2e", b"/a/", None),
        ({"decode": True}, b"/../..", b"/", None),
        ({"decode": True}, b"/.well-known/..a/...", b"/.well-known/..a/...", None),
        ({"decode": True}, b"HTTP://O.Example/%7e/..", b"http://o.example/", None),
        ({"decode": True, "fold-slash": True}, b"/a/%69ndex.html", b"/a", None),
        # hosts
        ({"by-host": True}, b"Example.org /a", b"//example.org/a", None),
        ({"by-host": True}, b"example.org http://other/a", b"//example.org/a", None),
        ({"by-host": True}, b"example.org http://other", b"//example.org/", None),
        ({"by-host": True}, b"a/b /c", b"//a%2Fb/c", None),
        ({"by-host": True, "exclude-path": "/a*"}, b"example.org /a", b"//example.org/a", "path"),
        ({"by-host": True, "keep-query": True, "decode": True}, b"o /%61?b", b"//o/a?b", None),
    ],
)  # fmt: skip
def test_the_path_of_a_raw_key(options: dict[str, object], key: bytes, path: bytes, reason: str | None) -> None:
    assert final_path(make_rules(options))(key) == (path, reason)


@given(key=keys, rules=rules)
def test_a_path_is_final(key: bytes, rules: Rules) -> None:
    """Applying the rules a second time changes nothing. By host, the path is after the host."""
    path, reason = final_path(rules)(key)
    assert reason in (None, "path", "static")
    assert reason != "static" or rules.exclude_static
    assert reason != "path" or rules.include_paths or rules.exclude_paths
    if not rules.by_host:
        assert final_path(rules)(path) == (path, reason)


@given(key=keys, rules=rules)
def test_filters_do_not_change_the_path(key: bytes, rules: Rules) -> None:
    plain = replace(rules, include_paths=(), exclude_paths=(), exclude_static=False)
    assert final_path(plain)(key) == (final_path(rules)(key)[0], None)


@given(key=keys, rules=rules)
def test_a_decoded_path_is_a_uri(key: bytes, rules: Rules) -> None:
    path, _ = final_path(replace(rules, decode=True, by_host=False))(key)
    assert URI.fullmatch(path)
    assert path.isascii()


@given(st.binary(max_size=30))
def test_all_spellings_of_a_path_become_one_path(raw: bytes) -> None:
    """A client may percent-encode bytes, in capitals or not, Apache may escape them, or they stay as they are."""
    ways = [
        b"".join(b"%%%02x" % byte for byte in raw),
        b"".join(b"%%%02X" % byte for byte in raw),
        b"".join(b"\\x%02x" % byte for byte in raw),
    ]
    first, *others = {normalise(way) for way in ways if not re.search(rb"[:/?#\[\]@!$&'()*+,;=]", raw)} or {b""}
    assert not others
    assert normalise(first) == first


@given(paths)
def test_dot_segments_are_removed(path: bytes) -> None:
    removed = remove_dot_segments(path)
    assert removed.startswith(b"/")
    assert not {b".", b".."} & set(removed.split(b"/"))
    assert remove_dot_segments(b"/x/.." + path) == removed


@given(rules)
def test_rules_that_do_not_look_at_paths_leave_them(rules: Rules) -> None:
    changed = final_path(rules)(b"o HTTP://O/%7e/a.css/?x=1&a=2")
    assert rules.looks_at_paths or changed == (b"o HTTP://O/%7e/a.css/?x=1&a=2", None)


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ({}, Rules()),
        ({"method": "GET,POST"}, Rules(methods=("GET", "POST"))),
        ({"method": ["HEAD"]}, Rules(methods=("HEAD",))),
        ({"status": "2xx,304"}, Rules(statuses=frozenset({*range(200, 300), 304}))),
        ({"status": 200}, Rules(statuses=frozenset({200}))),
        ({"status": [200, "4xx"]}, Rules(statuses=frozenset({200, *range(400, 500)}))),
        ({"keep-query": "id, page"}, Rules(keep_query=("id", "page"))),
        ({"keep-query": False}, Rules()),
        ({"exclude-path": "/a,b"}, Rules(exclude_paths=("/a,b",))),
        ({"exclude-path": "/a[,]/b"}, Rules(exclude_paths=("/a[,]/b",))),
        ({"exclude-path": "/a?q=*", "keep-query": "q"}, Rules(exclude_paths=("/a?q=*",), keep_query=("q",))),
        ({"exclude-agent": ["curl", "*probe*"]}, Rules(exclude_agents=("curl", "*probe*"))),
        ({"bots": "apart"}, Rules(bots="apart")),
        ({"exclude-bots": True}, Rules(bots="exclude")),
        ({"exclude-bots": True, "bots": "exclude"}, Rules(bots="exclude")),
        ({"exclude-bots": False, "bots": "apart"}, Rules(bots="apart")),
        ({"json-fields": "time=ts,path=request.uri"}, Rules(json_fields={"time": "ts", "path": "request.uri"})),
        ({"json-fields": {"time": "ts"}}, Rules(json_fields={"time": "ts"})),
        ({"format": "combined", "by-host": True}, Rules(format="combined", by_host=True)),
        ({"pages": True}, PAGES),
        ({"pages": False}, Rules()),
        ({"pages": False, "status": 200}, Rules(statuses=frozenset({200}))),
        ({"pages": True, "method": "POST"}, replace(PAGES, methods=("POST",), pages=PAGES.pages - {"methods"})),
        ({"pages": True, "status": 404}, replace(PAGES, statuses=frozenset({404}), pages=PAGES.pages - {"statuses"})),
        ({"pages": True, "bots": "apart"}, replace(PAGES, bots="apart", pages=PAGES.pages - {"bots"})),
        ({"pages": True, "exclude-bots": False}, replace(PAGES, bots="count", pages=PAGES.pages - {"bots"})),
        (
            {"pages": True, "exclude-static": False, "include-path": "*.css"},
            replace(PAGES, exclude_static=False, include_paths=("*.css",), pages=PAGES.pages - {"exclude_static"}),
        ),
        ({"pages": True, "include-path": ["*.css", "/a"]}, replace(PAGES, include_paths=("*.css", "/a"))),
    ],
)  # fmt: skip
def test_options_make_rules(options: dict[str, object], rules: Rules) -> None:
    assert make_rules(options) == rules


def test_values_of_a_repeated_option_add_up() -> None:
    repeated = {
        "method": ["GET", "POST,HEAD"],
        "status": ["2xx", "304,404"],
        "keep-query": ["page", "lang,q"],
        "json-fields": ["time=ts", "path=uri,method=m"],
    }
    assert make_rules(repeated) == make_rules({name: ",".join(values) for name, values in repeated.items()})
    assert make_rules({"keep-query": ["page", "all"]}).keep_query is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "GET POST"}, "invalid method: 'GET POST'"),
        ({"method": ""}, "method must be a list of strings: ''"),
        ({"method": 3}, "method must be a list of strings: 3"),
        ({"method": []}, "invalid method: '' (for example GET,POST)"),
        ({"status": []}, "invalid status: '' (for example 200,304 or 2xx or 400-404)"),
        ({"method": ["GET,"]}, "method must be a list of strings: ['GET', '']"),
        ({"status": True}, "invalid status: 'True'"),
        ({"status": 20.5}, "status must be a list of statuses: 20.5"),
        ({"exclude-path": "admin/*"}, "no path can match exclude-path: admin/* (try /admin/* or *admin/*)"),
        ({"exclude-path": "/a,/b"}, "exclude-path is one glob: '/a,/b' (for several globs give --ex"),
        ({"include-path": ["/a /b*"]}, "include-path is one glob: '/a /b*' (for several globs give --in"),
        ({"exclude-path": "/find?q=*"}, "no path can match exclude-path: /find?q=* (a path has a query only w"),
        ({"keep-query": "?page"}, "no query can have this parameter of keep-query: '?page' (try page)"),
        ({"keep-query": "page lang"}, "no query can have this parameter of keep-query: 'page lang' (for example page,"),
        ({"keep-query": ["“page”"]}, "no query can have this parameter of keep-query: '“page”' (for example page"),
        ({"include-path": [3]}, "include-path must be a list of strings: [3]"),
        ({"exclude-static": "yes"}, "exclude-static must be true or false: 'yes'"),
        ({"fold-slash": 1}, "fold-slash must be true or false: 1"),
        ({"pages": "yes"}, "pages must be true or false: 'yes'"),
        (
            {"pages": True, "include-path": ["*.css", "/a*.PNG"]},
            "pages contradicts include-path: *.css, /a*.PNG (--no-exclude-static counts static files)",
        ),
        (
            {"exclude-static": True, "include-path": "*.js"},
            "exclude-static contradicts include-path: *.js (--no-exclude-static counts static files)",
        ),
        ({"bots": "hide"}, "invalid bots: 'hide' (choose one of count, exclude, apart"),
        ({"bots": "apart", "exclude-bots": True}, "exclude-bots contradicts bots: apart (leave one out)"),
        ({"bots": "exclude", "exclude-bots": False}, "exclude-bots contradicts bots: exclude (leave one out)"),
        ({"format": ["combined"]}, "format must be a string: ['combined']"),
        ({"json-fields": "tme=ts"}, "json-fields has no kind 'tme'"),
        ({"json-fields": "time"}, "json-fields gives no name for time"),
        ({"json-fields": "time=a,time=b"}, "json-fields names a kind twice: 'time=a,time=b' (give "),
        ({"json-fields": 3}, "json-fields must be a list of strings: 3"),
        *(
            ({"json-fields": {"path": name}}, "json-fields gives no name for path")
            for name in ("", "--", "é", "x" * 97, "a\ud800", "a\udce9")
        ),
        *(
            ({name: value}, f"{name} has half a character: ")
            for name, value in (
                ("format", '%h \ud800 %t "%r" %>s'),
                ("include-path", "/\ud800"),
                ("exclude-path", ["/a", "/\udd00"]),
                ("exclude-agent", "\udc7f"),
                ("keep-query", "\udfff,a"),
            )
        ),
    ],
)  # fmt: skip
def test_invalid_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        make_rules(options)
    assert str(raised.value).startswith(message)


def test_names_of_json_fields_are_those_that_the_core_takes() -> None:
    for name in ("x" * MAX_JSON_NAME, "User-Agent", "request.uri", "größe", " a "):
        assert CompiledRules(make_rules({"json-fields": {"path": name}})).line_rules(JSON)


def test_a_glob_may_have_bytes_that_are_not_utf_8() -> None:
    judge = final_path(make_rules({"exclude-path": "/caf\udce9"}))
    assert judge(b"/caf\xe9") == (b"/caf\xe9", "path")


def test_static_endings_are_sorted_and_in_lower_case() -> None:
    assert all(ending.startswith(".") and ending == ending.lower() for ending in STATIC_ENDINGS)
    assert list(STATIC_ENDINGS) == sorted(set(STATIC_ENDINGS))


glob_tokens = st.sampled_from(
    ["a", "b", "A", "*", "?", "[ab]", "[!a]", "[", "]", "!", "-", "^", "$", "(", ".", "é", "[*]", "[]a]"]
)


@given(st.lists(glob_tokens, max_size=6).map("".join), st.text("abA*?[]!-^$(.é\n", max_size=8), st.booleans())
def test_a_glob_matches_like_fnmatch(glob: str, text: str, any_case: bool) -> None:
    pattern = fnmatch.translate(glob.encode().decode("latin-1")).encode("latin-1")
    expected = re.match(pattern, text.encode(), re.IGNORECASE if any_case else re.NOFLAG)
    assert compile_globs((glob,), any_case)(text.encode()) == bool(expected)


UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
RESERVED = b":/?#[]@!$&'()*+,;="
LETTERS = {b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b'"': b'"', b"\\": b"\\"}
ESCAPE = re.compile(rb'\\(?:x(?P<hex>[0-9A-Fa-f]{2})|(?P<letter>["\\bnrtv]))')
CODE = re.compile(rb"""%(?P<hex>[0-9A-Fa-f]{2})|\\x[0-9A-Fa-f]{2}|\\["\\bnrtv]|.""", re.DOTALL)


def plain_unescape(text: bytes) -> bytes:
    def meant(found: re.Match[bytes]) -> bytes:
        return bytes.fromhex(found["hex"].decode()) if found["hex"] else LETTERS[found["letter"]]

    return ESCAPE.sub(meant, text)


def plain_normalise(text: bytes) -> bytes:
    def written(found: re.Match[bytes]) -> bytes:
        if found["hex"]:
            byte = bytes.fromhex(found["hex"].decode())
            return byte if byte in UNRESERVED else b"%" + found["hex"].upper()
        byte = plain_unescape(found[0])
        return byte if byte in UNRESERVED + RESERVED else b"%%%02X" % byte[0]

    return CODE.sub(written, text)


codes = st.sampled_from([b"%", b"\\", b"x", b"4", b"1", b"c", b"3", b"F", b"n", b'"', b"\xe9", b"/", b" ", b"g", b"\0"])
coded = st.lists(codes, max_size=9).map(b"".join)


@given(st.one_of(coded, st.binary(max_size=20)))
def test_the_core_reads_codes_as_regular_expressions_do(text: bytes) -> None:
    assert unescape(text) == plain_unescape(text)
    assert normalise(text) == plain_normalise(text)


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        (b"?page=1&x=2&lang=de", b"?page=1&lang=de"),
        (b"?page", b"?page"),
        (b"?pages=1&apage=2&page=3", b"?page=3"),
        (b"?page=1&page=1", b"?page=1&page=1"),
        (b"?&&page=&&", b"?page="),
        (b"?x=page&y", b""),
        (b"?", b""),
        (b"?page=1\n&page=2", b"?page=1\n&page=2"),
    ],
)
def test_a_query_is_reduced_to_the_parameters_to_keep(query: bytes, kept: bytes) -> None:
    assert parameter_keeper([b"page", b"lang"])(query) == kept


def test_rules_have_the_same_mark_if_the_same_lines_count() -> None:
    given: list[dict[str, object]] = [
        {},
        {"method": "GET,POST"},
        {"status": "2xx"},
        {"include-path": "/a*"},
        {"exclude-path": "/a*"},
        {"exclude-path": "/caf\udce9"},
        {"exclude-static": True},
        {"keep-query": "page"},
        {"keep-query": "all"},
        {"fold-slash": True},
        {"bots": "exclude"},
        {"exclude-agent": "a"},
        {"by-host": True},
    ]
    assert len({make_rules(each).mark for each in given}) == len(given)
    ordered, turned = {"method": "GET,POST", "format": "combined"}, {"method": "POST,GET"}
    assert make_rules(ordered).mark == make_rules(turned).mark
