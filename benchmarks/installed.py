"""A Python whose fasthits starts as an installed one does.

In an environment for development, Python runs code of each package that was installed as editable, at each start. This
takes as long as a third of `fasthits --version`. So programs are measured in an environment that finds the same files
by their folders alone.
"""

import sys
import sysconfig
import venv
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "bench" / "installed"
SCRIPT = """\
#!{python}
import sys
from fasthits.__main__ import main
sys.exit(main())
"""


@cache
def programs() -> Path:
    """Return the folder with this environment's ``python`` and ``fasthits``, made unless it is there."""
    found = PLACE / "bin"
    script = found / "fasthits"
    if not script.exists():
        venv.create(PLACE, symlinks=True, clear=True)
        packages = Path(sysconfig.get_path("purelib", vars={"base": str(PLACE)}))
        (packages / "here.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
        script.write_text(SCRIPT.format(python=found / Path(sys.executable).name))
        script.chmod(0o755)
    return found
