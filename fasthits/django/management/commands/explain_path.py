"""``manage.py explain_path``: which object a path counts for, and why."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from fasthits.display import printable
from fasthits.django import live
from fasthits.django.addresses import counted_path
from fasthits.django.commands import HitsCommand
from fasthits.django.conf import setting
from fasthits.django.explain import explain_path
from fasthits.live.keys import hit_key


class Command(HitsCommand):
    """Prints what `fasthits.django.explain` finds."""

    failed = "cannot look for objects"
    help = "Tell which object the hits of a path count for, and why, and show today's counter of the path."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take paths."""
        parser.add_argument("paths", metavar="PATH", nargs="+", help="A path as in the log, or an address: /press/a/.")

    def handle(self, *, paths: list[str], **_: Any) -> None:
        """Print the lines for each path. The exit code is 1 if a path counts for no object."""
        found = True
        for path in paths:
            counted = counted_path(path)
            told = explain_path(counted)
            found &= told.obj is not None
            lines = {
                "path": counted.decode(),
                "view": told.view,
                "object": told.object_text,
                "because": told.why,
                "counter": f"{hit_key(live.today(), counted, setting('PREFIX'))}: {self._today(counted)}",
            }
            for name, text in lines.items():
                self.stdout.write(f"{name:<8} {printable(text)}")
        if not found:
            raise CommandError("hits of a path without an object are not saved", returncode=1)

    def _today(self, path: bytes) -> str:
        views = live.read_today([path])[path]
        return "unknown" if views is live.UNKNOWN else f"{views:,}"
