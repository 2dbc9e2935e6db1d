"""JSON's grammar: strings, values, and where objects and their keys begin.

The scanner only follows strings, braces and brackets. The text between them may be invalid: a bad number, a bad
escape, bytes that are not UTF-8. A line whose object does not end is malformed. No function recurses, and the scanner
reads each byte a few times at most.
"""

from libc.string cimport memchr, memcmp

from fasthits.core.tokens cimport Cursor, Span, is_digit, take_quoted


cdef inline bint is_blank(char c) noexcept nogil:
    return c == b" " or c == b"\t" or c == b"\r" or c == b"\n"


cdef inline bint opens(char c) noexcept nogil:
    return (c & 0xDF) == 0x5B       # [ or {


cdef inline bint closes(char c) noexcept nogil:
    return (c & 0xDF) == 0x5D       # ] or }


cdef inline void skip_blanks(Cursor *line) noexcept nogil:
    while line.p != line.end and is_blank(line.p[0]):
        line.p += 1


cdef inline bint take_string(Cursor *line, Span *out) noexcept nogil:
    """Take the bytes between the quote at the cursor and the next quote that no backslash escapes.

    If it returns False, the cursor has not moved.
    """
    cdef Cursor rest = line[0]
    rest.p += 1
    if not take_quoted(&rest, out):
        return False
    line.p = rest.p
    return True


cdef inline bint skip_open(Cursor *line, size_t depth) noexcept nogil:
    """Step to the end of *depth* open objects and lists; False if they do not end."""
    cdef Span text
    cdef char c
    while line.p != line.end:
        c = line.p[0]
        if c == b'"':
            if not take_string(line, &text):
                return False
            continue
        line.p += 1
        if opens(c):
            depth += 1
        elif closes(c):
            depth -= 1
            if depth == 0:
                return True
    return False


cdef inline void take_bare(Cursor *line, Span *out) noexcept nogil:
    """Take a number or a word: all bytes before a blank, a comma, a quote, a brace or a bracket.

    So a list ends at the same place whether its first item is taken or not.
    """
    cdef const char *p = line.p
    while p != line.end and not (is_blank(p[0]) or p[0] == b"," or p[0] == b'"' or opens(p[0]) or closes(p[0])):
        p += 1
    out.start, out.size = line.p, <size_t>(p - line.p)
    line.p = p


cdef inline bint skip_value(Cursor *line) noexcept nogil:
    """Step over the value at the cursor, which has at least one byte; False if it does not end."""
    cdef Span text
    if line.p[0] == b'"':
        return take_string(line, &text)
    if opens(line.p[0]):
        line.p += 1
        return skip_open(line, 1)
    take_bare(line, &text)
    return True


cdef inline bint says_nothing(Span word) noexcept nogil:
    """Tell whether a bare word is null, true, false or empty."""
    if word.size == 4:
        return memcmp(word.start, b"null", 4) == 0 or memcmp(word.start, b"true", 4) == 0
    return word.size == 0 or (word.size == 5 and memcmp(word.start, b"false", 5) == 0)


cdef inline bint take_value(Cursor *line, Span *out) noexcept nogil:
    """Take the value at the cursor: a text or a number, else absent; False if it does not end.

    The value of a list is its first item.
    """
    cdef bint is_list = line.p[0] == b"["
    out.start, out.size = NULL, 0
    if is_list:
        line.p += 1
        skip_blanks(line)
        if line.p == line.end:
            return False
    if line.p[0] == b'"':
        if not take_string(line, out):
            return False
    elif opens(line.p[0]):
        line.p += 1
        if not skip_open(line, 1):
            return False
    else:
        take_bare(line, out)
        if says_nothing(out[0]):
            out.start, out.size = NULL, 0
    return not is_list or skip_open(line, 1)


cdef inline bint is_list_of_numbers(Cursor line) noexcept nogil:
    line.p += 1
    skip_blanks(&line)
    return line.p != line.end and is_digit(line.p[0])


cdef inline bint take_message(Cursor *line, Span *out) noexcept nogil:
    """Take a message as `take_value` does, but take a list of numbers as a whole; False if it does not end.

    If a message has a control byte or is not UTF-8, journald writes it as a list of its bytes.
    """
    if line.p[0] != b"[" or not is_list_of_numbers(line[0]):
        return take_value(line, out)
    out.start = line.p
    if not skip_value(line):
        return False
    out.size = <size_t>(line.p - out.start)
    return True


cdef inline bint skip_to_key(Cursor *line) noexcept nogil:
    """Step to the next quote or closing brace; False if there is none."""
    while line.p != line.end:
        if line.p[0] == b'"' or line.p[0] == b"}":
            return True
        line.p += 1
        if opens((line.p - 1)[0]) and not skip_open(line, 1):
            return False
    return False


cdef inline bint find_object(Cursor *line, const char **brace) noexcept nogil:
    """Step past the next brace that begins an object; False if there is none."""
    while line.p != line.end:
        brace[0] = <const char *>memchr(line.p, b"{", <size_t>(line.end - line.p))
        if brace[0] == NULL:
            return False
        line.p = brace[0] + 1
        skip_blanks(line)
        if line.p != line.end and (line.p[0] == b'"' or line.p[0] == b"}"):
            return True
    return False


cdef inline bint has_object(Cursor line) noexcept nogil:
    cdef const char *brace
    return find_object(&line, &brace)
