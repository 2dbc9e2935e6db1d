"""systemd units for fasthits, with no more rights than they need."""

import os
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

NETWORK = "AF_UNIX AF_INET AF_INET6"

_HARDENING = """\
UMask=0027
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome={home}
PrivateTmp={tmp}
PrivateDevices=yes
PrivateUsers=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
"""


def rollup_units(user: str, command: Sequence[str], folder: str) -> str:
    """Return a service and a timer that run *command* each night as *user*. It may write only to *folder*."""
    service = _service("fasthits-rollup", "Nightly rollup of page hits", user, command, folder, "AF_UNIX")
    service = service.replace("[Service]\n", "[Service]\nType=oneshot\n") + "PrivateNetwork=yes\n"
    return f"""\
{service}
# /etc/systemd/system/fasthits-rollup.timer (systemctl enable --now fasthits-rollup.timer)
[Unit]
Description=Nightly rollup of page hits
[Timer]
OnCalendar=*-*-* 00:10:00
Persistent=true
[Install]
WantedBy=timers.target
"""


def follow_units(user: str, command: Sequence[str], folder: str) -> str:
    """Return a service that runs *command* as *user*. It keeps its state in *folder* or in a folder of systemd's."""
    return _lasting(_service("fasthits-follow", "Live counter of page hits", user, command, folder, NETWORK))


def serve_units(user: str, command: Sequence[str], folder: str, variables: str) -> str:
    """Return a service that runs *command* as *user*, with variables from a file that root alone may read.

    It only reads *folder*. It sees all processes, to count the loggers that Apache has started.
    """
    service = _service("fasthits-serve", "Web page with page hits", user, command, folder, NETWORK)
    service = service.replace("ProtectProc=invisible\n", "")
    return _lasting(service.replace("ExecStart=", f"EnvironmentFile={variables}\nExecStart="))


def _service(name: str, text: str, user: str, command: Sequence[str], folder: str, families: str) -> str:
    """Return a service that may write only to *folder* and may open sockets only of some *families*."""
    used = (*(word for word in command if word.startswith("/")), folder)
    home = "read-only" if any(re.match("/(home|root|run/user)/", word) for word in used) else "yes"
    # A database in a /tmp of the service's own would be lost when the service ends.
    tmp = "no" if any(re.match("/(var/)?tmp(/|$)", word) for word in used) else "yes"
    return f"""\
# /etc/systemd/system/{name}.service
[Unit]
Description={text}
After=network.target
[Service]
User={user}
ExecStart={" ".join(map(_word, command))}
{_writable(folder)}
RestrictAddressFamilies={families}
{_HARDENING.format(home=home, tmp=tmp)}"""


def _lasting(service: str) -> str:
    """Return the service with lines that start it with the machine and restart it (systemctl enable --now)."""
    return f"{service}Restart=always\nRestartSec=5\n[Install]\nWantedBy=multi-user.target\n"


def _writable(folder: str) -> str:
    """Return the lines that let a service write to *folder*. systemd creates folders below /var/lib."""
    path = PurePosixPath(folder)
    if path.parts[:3] == ("/", "var", "lib") and len(path.parts) > 3:
        state = os.path.relpath(folder, "/var/lib")
        return f"StateDirectory={_word(state)}\nStateDirectoryMode=0750"
    # The follower keeps its state in a folder of systemd's even then.
    return f"StateDirectory=fasthits\nStateDirectoryMode=0750\nReadWritePaths={_word(folder)}"


def _word(word: str) -> str:
    word = word.replace("%", "%%")
    return f'"{word}"' if " " in word else word
