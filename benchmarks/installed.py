"""A Python in which fasthits starts as fast as after a normal installation.

In an environment for development, Python runs code for each editable package at each start. This takes a third of the
time of `fasthits --version`. So programs are measured in an environment that finds the same files, but only by their
folders.
"""

import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "bench" / "installed"
PROGRAMS = PLACE / "bin"
"""The folder of ``python`` and ``fasthits``, once `install` has run."""
SCRIPT = """\
#!{python}
import sys
from fasthits.__main__ import main
sys.exit(main())
"""


def install() -> None:
    """Make the environment, unless it exists."""
    script = PROGRAMS / "fasthits"
    if not script.exists():
        venv.create(PLACE, symlinks=True, clear=True)
        packages = Path(sysconfig.get_path("purelib", vars={"base": str(PLACE)}))
        (packages / "here.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
        script.write_text(SCRIPT.format(python=PROGRAMS / Path(sys.executable).name))
        script.chmod(0o755)
