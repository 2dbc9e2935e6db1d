"""Lines as Python objects: fields for parse_line and find_fields, and the reasons of filtered lines."""

from libc.stdint cimport uint64_t

from fasthits.core.json cimport find_object, skip_blanks, skip_to_key, skip_value, take_string
from fasthits.core.jsonlines cimport MAX_DEPTH, NOT_FOUND, Found
from fasthits.core.jsonnames cimport J_BYTES, J_TIME
from fasthits.core.lines cimport (
    BOT, COMMENT, MESSAGE, NO_PATH, OTHER_AGENT, OTHER_DAY, OTHER_METHOD, OTHER_STATUS, STATIC, Way, take_host,
)
from fasthits.core.steps cimport BYTES, GLUED, LITERAL, NO_DAY, NO_END, TIME, Reading, field_of
from fasthits.core.tokens cimport Cursor, Line, Span, is_digit, skip_past


cdef inline Span span_of(bytes text):
    cdef Span span
    span.start, span.size = text, len(text)
    return span


cdef inline object as_bytes(Span span):
    return None if span.start == NULL else span.start[:span.size]


cdef inline object as_number(Span span):
    """Return a number of up to 18 digits; None for any other text."""
    cdef uint64_t value = 0
    cdef size_t i
    if span.start == NULL or span.size > 18 or span.start[0] == b"-":
        return None
    for i in range(span.size):
        value = value * 10 + <uint64_t>(span.start[i] - c"0")
    return value


cdef inline tuple values_of_line(
    const char *start, object day, Line *line, const Reading *reading, const Way *way
):
    """Return the values of ParsedLine."""
    cdef Span before, query
    if way.host_end.start != NULL:
        take_host(start, line.time, way, &line.host)
    before.start, before.size = NULL, 0
    if way.steps.anchored:
        before.start, before.size = start, <size_t>(line.time - 1 - start)
        if before.size and before.start[before.size - 1] == b" ":
            before.size -= 1
    query = line.query
    if query.size:
        query.start, query.size = query.start + 1, query.size - 1
    return (
        day, as_bytes(field_of(reading, &way.steps, TIME)), as_bytes(line.method), as_bytes(line.target),
        as_bytes(line.path), as_bytes(query), as_bytes(line.protocol), as_number(line.status),
        as_number(field_of(reading, &way.steps, BYTES)), as_bytes(line.referer), as_bytes(line.user_agent),
        as_bytes(line.host), as_bytes(before),
    )


cdef inline tuple values_of_json_line(object day, const Line *line, const Found *found):
    """Return the values of ParsedLine."""
    cdef Span query = line.query
    cdef Span sent
    cdef size_t i
    if query.size:
        query.start, query.size = query.start + 1, query.size - 1
    sent.start, sent.size = NULL, 0
    if found.rank[J_BYTES] != NOT_FOUND:
        sent = found.value[J_BYTES]
        for i in range(sent.size):
            if not is_digit(sent.start[i]):
                sent.start = NULL
                break
    return (
        day, as_bytes(found.value[J_TIME]), as_bytes(line.method), as_bytes(line.target), as_bytes(line.path),
        as_bytes(query), as_bytes(line.protocol), as_number(line.status), as_number(sent) if sent.size else None,
        as_bytes(line.referer), as_bytes(line.user_agent), as_bytes(line.host), None,
    )


cdef inline list keys_of_object(Cursor line):
    """Return (path, address) for each key of an object. Dots join the keys of nested objects to a path. The address is
    that of the path's last key.

    Objects in a list are left out, because the core does not search them.
    """
    cdef Span key
    cdef const char *brace
    keys = []
    parents = []
    if not find_object(&line, &brace):
        return keys
    while skip_to_key(&line):
        if line.p[0] == b"}":
            line.p += 1
            if not parents:
                break
            parents.pop()
            continue
        if not take_string(&line, &key):
            break
        skip_blanks(&line)
        if not skip_past(&line, b":"):
            continue
        skip_blanks(&line)
        path = b".".join([*parents, as_bytes(key)])
        if line.p != line.end and line.p[0] == b"{" and len(parents) + 1 < MAX_DEPTH:
            line.p += 1
            parents.append(as_bytes(key))
            continue
        keys.append((path, <size_t>key.start))
        if line.p == line.end or not skip_value(&line):
            break
    return keys


cdef inline str name_of_trouble(int trouble):
    return "day" if trouble == NO_DAY else "end" if trouble == NO_END else "glued" if trouble == GLUED else "absent"


cdef inline tuple places_of_fields(Cursor text, const Way *way, const Reading *reading, bint is_read):
    """Return the content of FoundFields for a line, with a tuple for each field."""
    cdef Span host
    cdef Py_ssize_t at
    cdef int i
    fields = []
    for i in range(reading.agreed):
        if way.steps.step[i].how != LITERAL and text.p <= reading.found[i].start <= text.end:
            at = reading.found[i].start - text.p
            fields.append((i, at, at + <Py_ssize_t>reading.found[i].size))
    host.start, host.size = NULL, 0
    if reading.agreed and way.host_end.start != NULL:
        take_host(text.p, reading.found[0].start, way, &host)
    at = 0 if host.start == NULL else host.start - text.p
    host_place = (at, at + <Py_ssize_t>host.size)
    at = text.end - text.p
    if reading.agreed < way.steps.count:
        at = 0 if reading.stopped == NULL else reading.stopped - text.p
    return fields, host_place, reading.agreed, at, "" if is_read else name_of_trouble(reading.trouble)


cdef inline Span without_newline(const Py_buffer *view) noexcept:
    cdef Span line
    line.start, line.size = <const char *>view.buf, <size_t>view.len
    if line.size and line.start[line.size - 1] == b"\n":
        line.size -= 1
    return line


cdef inline dict filtered_lines(const uint64_t *buckets):
    """Return the numbers of filtered lines by reason, without zeros."""
    lines = {
        "message": buckets[MESSAGE], "method": buckets[OTHER_METHOD], "target": buckets[NO_PATH],
        "status": buckets[OTHER_STATUS], "day": buckets[OTHER_DAY], "agent": buckets[OTHER_AGENT], "bot": buckets[BOT],
        "static": buckets[STATIC],
        "comment": buckets[COMMENT],
    }
    return {reason: number for reason, number in lines.items() if number}
