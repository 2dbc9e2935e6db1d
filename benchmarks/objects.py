"""A day's log as the JSON lines that nginx would have written for the same requests."""

import json
from pathlib import Path

from fasthits._parse import ParsedLine, parse_line, unescape


def write_objects(log: Path, target: Path) -> int:
    """Write each line of a log as an object, as nginx does with ``escape=json``; return the size of the file.

    A torn line stays as it is.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with log.open("rb") as lines, target.open("wb", buffering=1 << 20) as objects:
        for line in lines:
            parsed = parse_line(line)
            objects.write(_object_of(line, parsed) + b"\n" if parsed else line)
        return objects.tell()


def _object_of(line: bytes, parsed: ParsedLine) -> bytes:
    stamp = parsed.time.decode()
    request = line[line.index(b'] "') + 3 :].partition(b'" %03d ' % (parsed.status or 0))[0]
    found = {
        "time_iso8601": f"{parsed.day}T{stamp[12:20]}{stamp[21:24]}:{stamp[24:]}",
        "remote_addr": _text((parsed.host_part or b"").partition(b" ")[0]),
        "remote_user": "",
        "request": _text(request),
        "status": str(parsed.status),
        "body_bytes_sent": str(parsed.bytes_sent or 0),
        "request_time": "0.012",
        "http_referer": _text(parsed.referer or b""),
        "http_user_agent": _text(parsed.user_agent or b""),
        "http_x_forwarded_for": "",
        "server_name": "www.example.com",
        "upstream_response_time": "0.010",
    }
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode("latin-1")


def _text(logged: bytes) -> str:
    """Return a character for each byte: nginx writes the bytes of a client unchanged."""
    return unescape(logged).decode("latin-1")
