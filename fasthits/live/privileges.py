"""Becoming another user for good: Apache starts its piped loggers as root."""

import os
import pwd

from fasthits.errors import PrivilegeError, UsageError


def become(user: str) -> None:
    """Make this process run as *user*, with the groups of *user* only, so that it cannot go back.

    Import everything before: *user* may not be able to read it. Raises UsageError for an unknown user, PrivilegeError
    when this process may not become *user*.
    """
    try:
        account = pwd.getpwnam(user)
    except (KeyError, ValueError) as error:
        raise UsageError(
            "no such user", repr(user), "name another with --user, or create it as fasthits conf prints"
        ) from error
    if os.getresuid() == (account.pw_uid,) * 3 and os.geteuid() != 0:
        return
    try:
        os.initgroups(account.pw_name, account.pw_gid)
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    except OSError as error:
        raise PrivilegeError("cannot become user", user, "start as root, or leave --user out") from error
