"""Writes the package's systemd units, those of `fasthits conf`, into a folder: python debian/units.py FOLDER."""

import re
import sys
from pathlib import Path

from fasthits.upkeep.units import follow_units, rollup_units, serve_units

PROGRAM = ["/opt/fasthits/bin/python", "-I", "-m", "fasthits"]
USER, FOLDER = "fasthits", "/var/lib/fasthits"
DATABASE = f"{FOLDER}/hits.db"


def units() -> dict[str, str]:
    """Return the text of each unit by its name. /etc/default/fasthits may name other logs and servers."""
    text = (
        rollup_units(USER, [*PROGRAM, "rollup", "--quiet", "--to", DATABASE], FOLDER)
        + follow_units(USER, [*PROGRAM, "log", "--follow", "/var/log/nginx/access.log"], FOLDER)
        + serve_units(USER, [*PROGRAM, "serve", "--database", DATABASE], FOLDER, "/etc/fasthits.env")
    )
    parts = re.split(r"^# /etc/systemd/system/(\S+).*\n", text, flags=re.MULTILINE)
    settings = "[Service]\nEnvironmentFile=-/etc/default/fasthits\n"
    return {name: unit.replace("[Service]\n", settings) for name, unit in zip(parts[1::2], parts[2::2], strict=True)}


for name, unit in units().items():
    (Path(sys.argv[1]) / f"fasthits.{name}").write_text(unit)
