"""`manage.py parse_log` counts what the rules say: by settings, options and a config file."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test.utils import override_settings

from tests.django.support import ParseLog, history_of
from tests.django_app.models import PressRelease
from tests.support.logger import DAY, access_line

pytestmark = pytest.mark.usefixtures("tables")


@pytest.mark.parametrize(
    ("rules", "views", "filtered"),
    [
        ({}, 6, {"method": 1}),
        ({"status": "200"}, 5, {"method": 1, "status": 1}),
        ({"method": ["GET", "POST"], "exclude-bots": True}, 6, {"bot": 1}),
        ({"bots": "apart"}, 5, {"method": 1, "bot": 1}),
        ({"keep_query": True, "fold_slash": True, "decode": True}, 6, {"method": 1}),
        ({"keep_query": ["page"], "exclude_path": ["*page=2"]}, 5, {"method": 1, "path": 1}),
    ],
)
@pytest.mark.parametrize("append_slash", [True, False])
def test_the_rules_are_those_of_the_rollup(
    parse_log: ParseLog,
    release: PressRelease,
    tmp_path: Path,
    rules: dict[str, Any],
    views: int,
    filtered: dict[str, int],
    append_slash: bool,
) -> None:
    lines = access_line("/press/a/") * 2 + access_line("/press/%61/") + access_line("/press/a/", query="?page=2")
    lines += access_line("/press/a/", status=404) + access_line("/press/a/", method="POST")
    lines += access_line("/press/a/").replace(b"Mozilla/5.0", b"Mozilla/5.0 (compatible; Googlebot/2.1)")
    with override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin", "RULES": rules}, APPEND_SLASH=append_slash):
        parse_log(lines, summary=tmp_path / "summary")
    said = json.loads((tmp_path / "summary").read_text())
    assert history_of(release) == {DAY: views}
    assert (said["hits"], said["filtered"], said["lines"]) == (views, filtered, 7)


def test_an_option_overrides_the_settings_which_override_the_config_file(
    parse_log: ParseLog, release: PressRelease, tmp_path: Path
) -> None:
    bot = access_line("/press/a/").replace(b"Mozilla/5.0", b"Mozilla/5.0 (compatible; Googlebot/2.1)")
    lines = access_line("/press/a/") + access_line("/press/a/", status=404) * 2 + bot * 4
    lines += access_line("/press/a/", method="POST") * 8
    config = tmp_path / "rules.toml"
    config.write_text("status = 200\nmethod = ['GET', 'POST']\nbots = 'exclude'\n")
    for setting, options, views in (
        ({}, [], 7),
        ({}, ["--config", str(config)], 9),
        ({"status": 404}, ["--config", str(config)], 2),
        ({"status": 404}, ["--config", str(config), "--status", "2xx"], 9),
        ({"exclude_bots": True}, ["--bots", "count"], 7),
        ({"bots": "exclude"}, ["--no-exclude-bots", "--method", "GET,POST"], 15),
        ({"exclude_path": ["/*"]}, ["--exclude-path", "/a*", "--exclude-path", "/b*"], 7),
    ):
        with override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin", "RULES": setting}):
            parse_log(lines, str(DAY), "--replace", *options)
        assert history_of(release) == {DAY: views}, (setting, options)


def test_paths_are_resolved_after_the_rules_have_changed_them(parse_log: ParseLog, release: PressRelease) -> None:
    lines = access_line("/press/a/", query="?page=2")
    with override_settings(FASTHITS={}, APPEND_SLASH=False):
        parse_log(lines, str(DAY), "--fold-slash", "--keep-query")
    assert history_of(release) == {DAY: 1}


def test_views_of_pages_by_readers(parse_log: ParseLog, release: PressRelease) -> None:
    bot = access_line("/press/a/").replace(b"Mozilla/5.0", b"Mozilla/5.0 (compatible; Googlebot/2.1)")
    lines = access_line("/press/a", status=301) + access_line("/press/a/") + bot * 2
    parse_log(lines)
    assert history_of(release) == {DAY: 4}
    with override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin", "RULES": {"pages": True}}):
        parse_log(lines, str(DAY), "--replace")
        assert history_of(release) == {DAY: 1}
        out, _ = parse_log(bot * 2, str(DAY), "--replace")
    assert "warning: no hits, and 2 lines filtered by one rule (bot): " in out
    parse_log(lines, str(DAY), "--replace", "--pages", "--bots", "count")
    assert history_of(release) == {DAY: 3}
