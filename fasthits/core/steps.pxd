"""The general path: reads lines of any log format, step by step.

A log format is a row of steps. Each step is a literal, or a field and the way to find its end. A line has to agree with
all steps that counting needs. After these steps, reading stops where the line disagrees. The reader first reads a line
exactly. If that fails, it reads the line loosely: only then, and only in `take_step_loosely`, it tolerates deviations.
So tolerance never changes how a line is read that follows the format.

If the time comes before the request, as in Apache's common format, the line is not read from the left, because a user
name may hold spaces, brackets and quotes. Then the time is the anchor: ``[``, then the fixed layout
``dd/Mon/yyyy:HH:MM:SS +hhmm] "``. A quote inside a logged field always has a backslash before it
(``ap_escape_logitem``, Apache's server/util.c), so a client cannot forge ``] "``. If the steps after an anchor do not
agree, the reader tries the next ``[``. The cost of a line stays linear in its length: each time is followed by a quote,
so a request or a number always ends before the next time begins. If a format needs a field that may go on to the end of
the line, the reader tries only MAX_ANCHORS times.

In a line that is read loosely, the time may have a fraction, and another zone or no zone. The bracket and the quote may
have any number of blanks between them, or none. A client cannot write that quote either. A client can only end a quoted
field with ``[time]``. Then the reader takes the closing quote of the field for the opening quote of a request. The text
after that quote is the format's own text between two fields. No such text begins with a method, so it is never a hit.

A line that lost its end has the next line glued to it. Two lines are not one hit, so after the last needed step a line
must not hold another whole request (`holds_another_line`).
"""

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memchr, memset

from fasthits.core.times cimport (
    CLF_SIZE, DayMemo, Layout, take_clf_time, take_epoch, take_iso_time, take_laid_out_time, take_loose_clf_time,
)
from fasthits.core.tokens cimport (
    Cursor, Line, Span, has_byte, is_digit, mask_of, skip_past, split_origin, split_request, split_target,
    take_digits_or_dash, take_quoted, take_three_digits, trailing_zeros,
)

cdef extern from "<string.h>" nogil:
    void *memmem(const void *haystack, size_t size, const void *needle, size_t needle_size) noexcept

cdef enum:
    MAX_STEPS = 128
    MAX_ANCHORS = 4        # anchors of a line that are tried, if each try may read to the end of the line

cdef enum:                 # kinds of fields
    SKIP, TIME, REQUEST, METHOD, TARGET, PATH, QUERY, PROTOCOL, STATUS, BYTES, REFERER, USER_AGENT, VHOST, KINDS

cdef enum:                 # ways in which a step is read
    LITERAL, QUOTED, TEXT, FIXED, THREE_DIGITS, DIGITS_OR_DASH, CLF_TIME, ISO_TIME, EPOCH_TIME, LAID_OUT_TIME

cdef enum:                 # why a line does not agree with a step
    NOT_THERE, NO_DAY, NO_END, GLUED

cdef struct Step:
    int kind
    int how
    const char *text       # LITERAL: the literal; TEXT: the literal after the field
    size_t size            # of text; FIXED and LAID_OUT_TIME: the field's width; EPOCH_TIME: its most digits
    int64_t divisor        # EPOCH_TIME: parts of a second
    Layout layout
    bint before_status     # LITERAL: the status follows

cdef struct Steps:
    Step[MAX_STEPS] step
    int count
    int needed             # the number of steps that a line has to agree with
    int[KINDS] at          # the number of the step that reads a kind; -1 if no step reads it
    bint anchored          # the first step is the time; its bracket is searched for
    bint searches          # a needed step searches the rest of the line for a text
    bint closed            # the line has to end after the last step, so that a client's text is never taken for steps
    bint absolute          # path and virtual host are taken from an absolute target
    bint alone             # the format has no other time in brackets after the needed steps

cdef struct Reading:       # of a line
    Span[MAX_STEPS] found  # the field that each step took; not set for literals
    int agreed             # the number of steps that the line agrees with
    int32_t moment
    const char *needed_end    # where the needed steps end
    const char *stopped    # where the line does not agree with the next step
    int trouble            # why it does not agree: NOT_THERE, NO_DAY ...


cdef inline int add_step(Steps *steps, int kind, int how, what, layout) except -1:
    """Add a step; the caller keeps *what* alive."""
    cdef Step *step = &steps.step[steps.count]
    step.kind, step.how = kind, how
    if how == LITERAL or how == TEXT:
        if how == LITERAL and not what:
            raise ValueError("a literal has at least one byte")
        step.text, step.size = what, len(what)
    elif how == EPOCH_TIME:
        step.size, step.divisor = what
    else:
        step.size = what
    if layout is not None:
        (step.layout.year, step.layout.year_digits, step.layout.month, step.layout.month_named, step.layout.day,
         step.layout.day_digits, step.layout.hour) = layout
    steps.at[kind] = steps.count
    steps.count += 1
    return 0


cdef inline bint is_blank(char c) noexcept nogil:
    return c == b" " or c == b"\t"


cdef inline bint take_literal(Cursor *line, const char *text, size_t size) noexcept nogil:
    """Step over a literal. Most literals have three bytes: for so few, a loop is cheaper than a call of memcmp."""
    cdef size_t i
    if <size_t>(line.end - line.p) < size:
        return False
    for i in range(size):
        if line.p[i] != text[i]:
            return False
    line.p += size
    return True


cdef inline bint take_literal_loosely(Cursor *line, const char *text, size_t size, bint before_status) noexcept nogil:
    """Step over a literal. For its blanks, the line may have any number of spaces and tabs, but at least one, and for a
    tab at least one tab: lines with blanks between their columns are those of another format, such as IIS's.

    Only between ``]`` and a quote, and between a quote and the status, it may have none."""
    cdef size_t i = 0
    cdef size_t first
    cdef const char *start
    cdef bint lacks_tab
    while i < size:
        if not is_blank(text[i]):
            if line.p == line.end or line.p[0] != text[i]:
                return False
            line.p += 1
            i += 1
            continue
        first = i
        lacks_tab = False
        while i < size and is_blank(text[i]):
            lacks_tab |= text[i] == b"\t"
            i += 1
        start = line.p
        while line.p != line.end and is_blank(line.p[0]):
            lacks_tab &= line.p[0] != b"\t"
            line.p += 1
        if lacks_tab and line.p != start:
            return False
        if line.p == start and not (
            first and ((text[first - 1] == b"]" and i < size and text[i] == b'"')
                       or (text[first - 1] == b'"' and i == size and before_status))
        ):
            return False
    return True


cdef inline void take_text(Cursor *line, const Step *step) noexcept nogil:
    """Take bytes up to the literal after the field, or to the end of the line. The literal is not taken."""
    cdef const char *found = NULL
    if step.size == 1:
        found = <const char *>memchr(line.p, step.text[0], <size_t>(line.end - line.p))
    elif step.size:
        found = <const char *>memmem(line.p, <size_t>(line.end - line.p), step.text, step.size)
    line.p = found if found != NULL else line.end


cdef inline bint goes_on(const char *start, const char *blank, const char *next) noexcept nogil:
    """Tell whether a list goes on after a *blank*, as in ``192.0.2.1, 10.0.0.1`` or ``10.0.0.1:80 : 10.0.0.2:80``."""
    return blank != start and ((blank - 1)[0] == b"," or (blank - 1)[0] == b":" or next[0] == b":")


cdef inline void take_text_loosely(Cursor *line, const Step *step) noexcept nogil:
    """Take bytes up to the literal after the field. The literal's blanks are those that `take_literal_loosely` accepts.

    If counting does not use the field, and it is a list, take the whole list. Each byte is read a few times at most.
    """
    cdef const char *start = line.p
    cdef const char *p
    cdef Cursor rest
    cdef bint begins_blank = step.size and is_blank(step.text[0])
    rest.end = line.end
    while line.p != line.end and step.size:
        if begins_blank:
            while line.p != line.end and not is_blank(line.p[0]):
                line.p += 1
            p = line.p
            while p != line.end and is_blank(p[0]):
                p += 1
        else:
            p = <const char *>memchr(line.p, step.text[0], <size_t>(line.end - line.p))
            line.p = p if p != NULL else line.end
            p = line.p + 1
        if line.p == line.end:
            return
        rest.p = line.p
        if take_literal_loosely(&rest, step.text, step.size, False) and not (
            begins_blank and step.kind == SKIP and p != line.end and goes_on(start, line.p, p)
        ):
            return
        line.p = p
    line.p = line.end


cdef inline bint is_word(const char *p, const char *end) noexcept nogil:
    """Tell whether a text can be a method: letters, digits, hyphens and underscores."""
    cdef const char *start = p
    while p != end and (
        b"A" <= p[0] <= b"Z" or b"a" <= p[0] <= b"z" or is_digit(p[0]) or p[0] == b"-" or p[0] == b"_"
    ):
        p += 1
    return p == end and p != start


cdef inline bint take_width(Cursor *line, size_t size) noexcept nogil:
    if <size_t>(line.end - line.p) < size:
        return False
    line.p += size
    return True


cdef inline bint take_status_or_none(Cursor *line) noexcept nogil:
    """Take three digits, or ``-``, ``-1`` or ``0``, the status of a request that the server never answered."""
    if take_three_digits(line):
        return True
    if skip_past(line, b"-"):
        skip_past(line, b"1")
        return True
    return skip_past(line, b"0")


cdef inline bint take_time(Cursor *line, const Step *step, int32_t *moment, DayMemo *memo) noexcept nogil:
    """Take a time. The moment of an invalid date is 0."""
    if step.how == CLF_TIME:
        return take_clf_time(line, moment, memo)
    if step.how == ISO_TIME:
        return take_iso_time(line, moment)
    if step.how == EPOCH_TIME:
        return take_epoch(line, step.size, step.divisor, moment, memo)
    return take_laid_out_time(line, step.size, &step.layout, moment)


cdef inline bint take_step(Cursor *line, const Step *step, Span *out, int32_t *moment, DayMemo *memo) noexcept nogil:
    """Take one step; False if the line does not agree. Then the cursor may be anywhere."""
    cdef const char *start = line.p
    cdef bint agrees = True
    if step.how == LITERAL:
        return take_literal(line, step.text, step.size)
    if step.how == QUOTED:
        agrees = take_quoted(line, out)
        line.p -= 1 if agrees else 0        # the closing quote belongs to the literal of the next step
        return agrees
    if step.how == THREE_DIGITS:
        agrees = take_three_digits(line)
    elif step.how == DIGITS_OR_DASH:
        agrees = take_digits_or_dash(line)
    elif step.how == TEXT:
        take_text(line, step)
    elif step.how == FIXED:
        agrees = take_width(line, step.size)
    else:
        agrees = take_time(line, step, moment, memo) and moment[0] != 0
    out.start, out.size = start, <size_t>(line.p - start)
    return agrees


cdef inline bint take_step_loosely(
    Cursor *line, const Step *step, Span *out, int32_t *moment, DayMemo *memo, bint anchored
) noexcept nogil:
    """Take one step, and tolerate deviations; False if the line does not agree. Then the cursor may be anywhere."""
    cdef const char *start = line.p
    cdef bint agrees = True
    if step.how == LITERAL:
        return take_literal_loosely(line, step.text, step.size, step.before_status)
    if step.how == THREE_DIGITS and not anchored:
        agrees = take_status_or_none(line)
    elif step.how == TEXT:
        take_text_loosely(line, step)
        agrees = step.kind != METHOD or is_word(start, line.p)
    elif step.how == CLF_TIME:
        agrees = take_loose_clf_time(line, moment) and moment[0] != 0
    else:
        return take_step(line, step, out, moment, memo)
    out.start, out.size = start, <size_t>(line.p - start)
    return agrees


cdef inline bint ends_well(const Cursor *line, const Steps *steps, bint loosely) noexcept nogil:
    """Tell whether the text after the last needed step may follow it."""
    cdef const Step *last = &steps.step[steps.needed - 1]
    cdef const char *p = line.p
    if steps.closed:
        while p != line.end and p[0] == b" ":
            p += 1
        return p == line.end
    if last.how == QUOTED or last.how == TEXT or last.how == LITERAL or line.p == line.end or line.p[0] == b" ":
        return True
    if loosely and (line.p[0] == b"\t" or (line.p[0] == b'"' and line.p + 1 == line.end)):
        return True        # the last quote of a line that is in quotes as a whole
    return steps.needed < steps.count and line.p[0] == steps.step[steps.needed].text[0]


cdef inline bint take_steps(
    Cursor line, const Steps *steps, int first, int last, Reading *reading, DayMemo *memo, bint loosely
) noexcept nogil:
    """Take the steps from *first* up to *last*, without *last*; False for a malformed line."""
    cdef int i
    cdef const char *start
    cdef bint agrees
    reading.agreed = last
    for i in range(first, last):
        start = line.p
        if loosely:
            agrees = take_step_loosely(
                &line, &steps.step[i], &reading.found[i], &reading.moment, memo, steps.anchored
            )
        else:
            agrees = take_step(&line, &steps.step[i], &reading.found[i], &reading.moment, memo)
        if not agrees:
            reading.agreed, reading.stopped = i, start
            reading.trouble = NO_DAY if steps.step[i].kind == TIME and line.p != start else NOT_THERE
            return i >= steps.needed
        if i == steps.needed - 1:
            reading.needed_end = line.p
            if not ends_well(&line, steps, loosely):
                reading.agreed, reading.stopped, reading.trouble = i, line.p, NO_END
                return False
    return True


cdef inline bint is_anchor(const char *p) noexcept nogil:
    return p[0] == b"[" and p[12] == b":"


cdef inline uint64_t anchors_among(const char *p) noexcept nogil:
    """Return a bit for each of the 64 bytes at *p*: whether it is an anchor. Another CLF_SIZE bytes follow these 64."""
    return mask_of(p, b"[") & mask_of(p + 12, b":")


cdef inline const char *find_anchor(const char *p, const char *end) noexcept nogil:
    """Return the next ``[`` that can begin a time: a colon is 12 bytes later, and the line is long enough. Else NULL.

    Nearly always it is the first ``[``. A stranger can send a megabyte of brackets, so the search goes on 64 bytes at a
    time. This takes 2 instructions for each bracket; a memchr for each bracket would take 36.
    """
    cdef uint64_t anchors
    p = <const char *>memchr(p, b"[", <size_t>(end - p))
    while p != NULL and end - p > CLF_SIZE:
        if is_anchor(p):
            return p
        p += 1
        while end - p >= 64 + CLF_SIZE:
            anchors = anchors_among(p)
            if anchors:
                return p + trailing_zeros(anchors)
            p += 64
    return NULL


cdef inline const char *another_line(const char *p, const char *end) noexcept nogil:
    """Return where a whole request begins, ``[time] "request" 200``; NULL if there is none.

    A client cannot write such a text into a quoted field, because the server writes a backslash before each quote.
    """
    cdef Cursor rest
    cdef Span request
    cdef DayMemo memo
    cdef int32_t moment
    memset(&memo, 0, sizeof(DayMemo))
    rest.end = end
    p = find_anchor(p, end)
    while p != NULL:
        rest.p = p + 1
        if (take_clf_time(&rest, &moment, &memo) and moment != 0 and take_literal(&rest, b'] "', 3)
                and take_quoted(&rest, &request) and skip_past(&rest, b" ") and take_three_digits(&rest)):
            return p
        p = find_anchor(p + 1, end)
    return NULL


cdef inline bint holds_another_line(const char *p, const char *end) noexcept nogil:
    """Tell whether these bytes, which follow a line, hold another whole request: then two lines are glued together."""
    return has_byte(p, end, b"[") and another_line(p, end) != NULL


cdef inline bint is_alone(const Steps *steps, Reading *reading, const char *end) noexcept nogil:
    """Tell whether no other line is glued to a line that was read.

    Servers write no carriage return into a line. So if a line is read from the left and has a carriage return after the
    needed steps, another line is glued to it. Only blanks and carriage returns at the very end are allowed.
    """
    if not steps.anchored:
        while end != reading.needed_end and ((end - 1)[0] == b"\r" or is_blank((end - 1)[0])):
            end -= 1
        if has_byte(reading.needed_end, end, b"\r"):
            reading.agreed, reading.stopped, reading.trouble = steps.needed, reading.needed_end, GLUED
            return False
    if not steps.alone or not holds_another_line(reading.needed_end, end):
        return True
    reading.agreed, reading.stopped, reading.trouble = steps.needed, another_line(reading.needed_end, end), GLUED
    return False


cdef inline void keep_furthest(Reading *furthest, const Reading *reading) noexcept nogil:
    """Keep a reading that went further than the readings before it, or that found a glued line."""
    if furthest != NULL and (furthest.stopped == NULL or reading.agreed > furthest.agreed or reading.trouble == GLUED):
        furthest[0] = reading[0]


cdef inline bint read_line(
    Cursor line, const Steps *steps, int last, Reading *reading, DayMemo *memo, Reading *furthest, bint loosely
) noexcept nogil:
    """Read a line by the steps up to *last*; False for a malformed line.

    For a malformed line, *furthest* gets the reading that went furthest. It may be NULL.
    """
    cdef Cursor rest = line
    cdef int tries = 0
    cdef bint agrees
    while not (steps.searches and steps.anchored) or tries < MAX_ANCHORS:
        if steps.anchored:
            rest.p = find_anchor(line.p, line.end)
            if rest.p == NULL:
                return False
            rest.p += 1
            line.p = rest.p
        agrees = take_steps(rest, steps, 0, last, reading, memo, loosely)
        if agrees and is_alone(steps, reading, line.end):
            return True
        keep_furthest(furthest, reading)
        if agrees or not steps.anchored:
            return False
        tries += reading.agreed > 1    # the line agreed with a time and with the step after it
    return False


cdef inline Span field_of(const Reading *reading, const Steps *steps, int kind) noexcept nogil:
    cdef int at = steps.at[kind]
    cdef Span absent
    if 0 <= at < reading.agreed:
        return reading.found[at]
    memset(&absent, 0, sizeof(Span))
    return absent


cdef inline void fill_line(Line *line, const Reading *reading, const Steps *steps) noexcept nogil:
    """Fill a Line from the fields that were read."""
    cdef Span request = field_of(reading, steps, REQUEST)
    line.moment, line.time = reading.moment, field_of(reading, steps, TIME).start
    line.status = field_of(reading, steps, STATUS)
    fill_tail(line, reading, steps)
    if request.start != NULL:
        split_request(request, line)
        split_target(line)
    else:
        take_parts_of_request(line, reading, steps)
    if steps.absolute:
        split_origin(line)


cdef inline void take_parts_of_request(Line *line, const Reading *reading, const Steps *steps) noexcept nogil:
    """Set method, target and protocol, each from its own field. In a format without methods every line is a GET."""
    line.method, line.protocol = field_of(reading, steps, METHOD), field_of(reading, steps, PROTOCOL)
    if steps.at[METHOD] < 0:
        line.method.start, line.method.size = b"GET", 3
    line.target = field_of(reading, steps, TARGET)
    split_target(line)
    if line.target.start == NULL:
        line.path, line.query = field_of(reading, steps, PATH), field_of(reading, steps, QUERY)
        if line.query.size == 0 or line.query.start[0] != b"?":
            memset(&line.query, 0, sizeof(Span))


cdef inline void fill_tail(Line *line, const Reading *reading, const Steps *steps) noexcept nogil:
    """Set the fields that only rules use: referer, user agent and host."""
    line.referer = field_of(reading, steps, REFERER)
    line.user_agent = field_of(reading, steps, USER_AGENT)
    line.host = field_of(reading, steps, VHOST)
