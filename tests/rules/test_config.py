"""The config file, which can set rules."""

import os
from pathlib import Path

import pytest

from fasthits.errors import UsageError
from fasthits.rules import config
from fasthits.rules.config import find_config, load_config
from fasthits.rules.options import OPTIONS, make_rules
from fasthits.rules.rules import Rules

FILE = """\
# what counts
pages = true
method = ["GET", "POST"]
status = "2xx,304"
exclude_path = ["/admin/*"]
include-path = "/*"
exclude-static = true
keep-query = ["page"]
fold-slash = true
fold-session = true
decode = true
bots = "apart"
exclude-bots = false
include-agent = "*"
exclude-agent = ["curl"]
by-host = false
not-found = "apart"
format = '%v %t "%r" %>s'

[json-fields]
time = "ts"
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "fasthits.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_file_can_set_each_option(tmp_path: Path) -> None:
    options = load_config(write(tmp_path, FILE))
    assert options.keys() == OPTIONS.keys()
    assert make_rules(options) == Rules(
        methods=("GET", "POST"),
        statuses=frozenset({*range(200, 300), 304}),
        include_paths=("/*",),
        exclude_paths=("/admin/*",),
        exclude_static=True,
        keep_query=("page",),
        fold_slash=True,
        fold_session=True,
        decode=True,
        bots="apart",
        not_found="apart",
        include_agents=("*",),
        exclude_agents=("curl",),
        pages=frozenset(),
        format='%v %t "%r" %>s',
        json_fields={"time": "ts"},
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nexclude-bot = true\n", "unknown key in line 2 of {}: exclude-bot (did you mean exclude-bots?)"),
        ("[rules]\nstatus = 200\n", "unknown key in line 1 of {}: rules (one of format, json-fields, "),
        ('\n\n"hm hm" = 1\n', "unknown key in line 3 of {}: hm hm (one of "),
        ("\nstatus = 'ok'\n", "invalid status in line 2 of {}: 'ok' (for example 200,304 or 2xx or 400-404)"),
        ("decode = true\nfold_slash = 3", "fold-slash must be true or false in line 2 of {}: 3"),
        ("json-fields.tme = 'ts'", "json-fields has no kind 'tme' in line 1 of {}: "),
        ("fold-slash = true\nfold_slash = true", "key given twice in line 2 of {}: fold_slash"),
        ("status = \n", "config file is not valid TOML: {} (Invalid value (at line 1, column 10): status =)"),
        (
            "pages = true\nbots = “apart”\n",
            "config file is not valid TOML: {} (Invalid value (at line 2, column 8): bots = “apart”; type “ as a plai",
        ),
        (
            "pages\xa0= true\n",
            "config file is not valid TOML: {} (Expected '=' after a key in a key/value pair (at line 1, column 6): "
            "pages\\xa0= true; type \\xa0 as a plain space)",
        ),
        (
            "pages = True",
            "config file is not valid TOML: {} (Invalid value (at line 1, column 9): pages = True; true and false are ",
        ),
        ("status = 200\nstatus = 200\n", "config file is not valid TOML: {} (Cannot overwrite a value (at line 2, "),
        (b"status = '\xff'", "config file is not UTF-8: {} (save it as UTF-8)"),
        ("status = " + "2" * 5000, "config file cannot be read as TOML: {} (it has a number with too many digits, or "),
        ("status = " + "[" * 100_000, "config file cannot be read as TOML: {} (it has a number with too many "),
        ("pages = true\n".encode("utf-16"), "config file is not UTF-8: {} (save it as UTF-8)"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        load_config(path)
    assert str(raised.value).startswith(message.format(path))


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, b"\xef\xbb\xbfpages = true\n")) == {"pages": True}


def test_a_pipe_or_a_device_is_refused(tmp_path: Path) -> None:
    """Nobody may ever write to the pipe, and /dev/full does not end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/full"), tmp_path):
        with pytest.raises(UsageError) as raised:
            load_config(path)
        assert str(raised.value) == f"config file is not a regular file: {path} (name a file with --config FILE)"
    assert load_config(Path(os.devnull)) == {}


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read config file"):
        load_config(tmp_path / "none.toml")


def test_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "CONFIG", tmp_path / "fasthits.toml")
    assert find_config({}) is None
    path = write(tmp_path, FILE)
    assert find_config({}) == path
    assert find_config({"FASTHITS_CONFIG": "other.toml"}) == Path("other.toml")
    assert find_config({"FASTHITS_CONFIG": ""}) == path
