"""The general path: reads lines of any log format, step by step.

A log format is a row of steps. Each step is a literal, or a field and the way to find its end. A line has to agree with
the steps up to the last one that counting needs; after that, reading stops where the line disagrees. Whatever the
reader tolerates, it tolerates in `take_step`, and only when it reads a line loosely, which it does after it could not
read the line exactly. So tolerance never changes what is read of a line that is as the format has it.

If the time comes before the request, as in Apache's common format, the line is not read from the left, because a user
name may hold spaces, brackets and quotes. Then the time is the anchor: ``[``, then the fixed layout
``dd/Mon/yyyy:HH:MM:SS +hhmm] "``. A quote inside a logged field always has a backslash before it
(``ap_escape_logitem``, Apache's server/util.c), so ``] "`` cannot be forged by a client. If the steps do not agree from
there on, the reader tries the next ``[``. The cost of a line stays linear in its length: a request or a number ends
before the next time begins, because that has a quote. If a format needs a field that may go on to the end of the line,
the reader tries only MAX_ANCHORS times.

Read loosely, the time may have a fraction and another zone or none, and any blanks or none may stand between the
bracket and the quote. A client cannot write that quote either. It can only end a quoted field with ``[time]``, so that
the quote behind the field is taken for the one before the request. Then what is taken for the request is the format's
own text between two fields, which begins with no method: no hit can be made of it.

Behind the last needed step there may be no other whole request (`holds_another_line`): a line that lost its end has the
next one glued to it, and two lines are not one hit.
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
    MAX_ANCHORS = 4        # times of a line that are tried, where each may look at all that follows

cdef enum:                 # kinds of fields
    SKIP, TIME, REQUEST, METHOD, TARGET, PATH, QUERY, PROTOCOL, STATUS, BYTES, REFERER, USER_AGENT, VHOST, KINDS

cdef enum:                 # ways in which a step is read
    LITERAL, QUOTED, TEXT, FIXED, THREE_DIGITS, DIGITS_OR_DASH, CLF_TIME, ISO_TIME, EPOCH_TIME, LAID_OUT_TIME

cdef enum:                 # why a step does not agree
    NOT_THERE, NO_DAY, NO_END, GLUED

cdef struct Step:
    int kind
    int how
    const char *text       # LITERAL: itself; TEXT: the literal behind it
    size_t size            # of text; FIXED and LAID_OUT_TIME: the width; EPOCH_TIME: the most digits
    int64_t divisor        # EPOCH_TIME: parts of a second
    Layout layout
    bint before_status     # LITERAL: the status follows

cdef struct Steps:
    Step[MAX_STEPS] step
    int count
    int needed             # so many steps have to agree
    int[KINDS] at          # which step reads a kind; -1 where none does
    bint anchored          # the first step is the time, behind a bracket that is searched for
    bint searches          # a needed step looks for a text, which may be anywhere in the rest of the line
    bint closed            # the line has to end behind the last step, so that no text of a client can stand for steps
    bint absolute          # an absolute target stands for its path, and names the virtual host
    bint alone             # behind the needed steps no other time in brackets is to be expected

cdef struct Reading:       # of a line
    Span[MAX_STEPS] found  # by each step; of a literal nothing
    int agreed             # so many steps
    int32_t moment
    const char *behind     # where the needed steps end
    const char *stopped    # where the next step does not agree, and why
    int trouble


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
    """Step over a text; most have three bytes, for which a call would cost more than the loop."""
    cdef size_t i
    if <size_t>(line.end - line.p) < size:
        return False
    for i in range(size):
        if line.p[i] != text[i]:
            return False
    line.p += size
    return True


cdef inline bint take_literal_loosely(Cursor *line, const char *text, size_t size, bint before_status) noexcept nogil:
    """Step over a text. Where it has blanks the line may have others or more, or none between ``]`` and a quote and
    between a quote and the status."""
    cdef size_t i = 0
    cdef size_t first
    cdef const char *start
    while i < size:
        if not is_blank(text[i]):
            if line.p == line.end or line.p[0] != text[i]:
                return False
            line.p += 1
            i += 1
            continue
        first = i
        while i < size and is_blank(text[i]):
            i += 1
        start = line.p
        while line.p != line.end and is_blank(line.p[0]):
            line.p += 1
        if line.p == start and not (
            first and ((text[first - 1] == b"]" and i < size and text[i] == b'"')
                       or (text[first - 1] == b'"' and i == size and before_status))
        ):
            return False
    return True


cdef inline void take_text(Cursor *line, const Step *step) noexcept nogil:
    """Take bytes up to the literal behind the field, which stays, or to the end of the line."""
    cdef const char *found = NULL
    if step.size == 1:
        found = <const char *>memchr(line.p, step.text[0], <size_t>(line.end - line.p))
    elif step.size:
        found = <const char *>memmem(line.p, <size_t>(line.end - line.p), step.text, step.size)
    line.p = found if found != NULL else line.end


cdef inline bint goes_on(const char *start, const char *blank, const char *next) noexcept nogil:
    """Tell whether a list goes on behind a *blank*, as in ``192.0.2.1, 10.0.0.1`` or ``10.0.0.1:80 : 10.0.0.2:80``."""
    return blank != start and ((blank - 1)[0] == b"," or (blank - 1)[0] == b":" or next[0] == b":")


cdef inline void take_text_loosely(Cursor *line, const Step *step) noexcept nogil:
    """Take bytes up to the literal behind the field, with its blanks as `take_literal_loosely` has them.

    Of a field that nobody reads, take all of a list. Each byte is looked at a few times at most.
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
    """Tell whether a method is there: letters, digits and what may join them."""
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
    """Take three digits, or ``-``, ``-1`` or ``0`` of a request that was never answered."""
    if take_three_digits(line):
        return True
    if skip_past(line, b"-"):
        skip_past(line, b"1")
        return True
    return skip_past(line, b"0")


cdef inline bint take_time(Cursor *line, const Step *step, int32_t *moment, DayMemo *memo) noexcept nogil:
    """Take a time; its moment is 0 where the calendar has no such day."""
    if step.how == CLF_TIME:
        return take_clf_time(line, moment, memo)
    if step.how == ISO_TIME:
        return take_iso_time(line, moment)
    if step.how == EPOCH_TIME:
        return take_epoch(line, step.size, step.divisor, moment, memo)
    return take_laid_out_time(line, step.size, &step.layout, moment)


cdef inline bint take_step(Cursor *line, const Step *step, Span *out, int32_t *moment, DayMemo *memo) noexcept nogil:
    """Take one step; False where the line does not agree, the cursor anywhere."""
    cdef const char *start = line.p
    cdef bint agrees = True
    if step.how == LITERAL:
        return take_literal(line, step.text, step.size)
    if step.how == QUOTED:
        agrees = take_quoted(line, out)
        line.p -= 1 if agrees else 0        # the quote is part of the literal behind it
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
    """Take one step with all that is tolerated; False where the line does not agree, the cursor anywhere."""
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
    """Tell whether what follows the last needed step may follow it."""
    cdef const Step *last = &steps.step[steps.needed - 1]
    cdef const char *p = line.p
    if steps.closed:
        while p != line.end and p[0] == b" ":
            p += 1
        return p == line.end
    if last.how == QUOTED or last.how == TEXT or last.how == LITERAL or line.p == line.end or line.p[0] == b" ":
        return True
    if loosely and (line.p[0] == b"\t" or (line.p[0] == b'"' and line.p + 1 == line.end)):
        return True        # the quote of a line that stands in quotes as a whole
    return steps.needed < steps.count and line.p[0] == steps.step[steps.needed].text[0]


cdef inline bint take_steps(
    Cursor line, const Steps *steps, int first, int last, Reading *reading, DayMemo *memo, bint loosely
) noexcept nogil:
    """Take the steps from *first* up to *last*, which is none of them; False for a malformed line."""
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
            reading.behind = line.p
            if not ends_well(&line, steps, loosely):
                reading.agreed, reading.stopped, reading.trouble = i, line.p, NO_END
                return False
    return True


cdef inline bint is_anchor(const char *p) noexcept nogil:
    return p[0] == b"[" and p[12] == b":"


cdef inline uint64_t anchors_among(const char *p) noexcept nogil:
    """Mark the anchors among the 64 bytes at *p*, behind which there are CLF_SIZE bytes: a bit for each."""
    return mask_of(p, b"[") & mask_of(p + 12, b":")


cdef inline const char *find_anchor(const char *p, const char *end) noexcept nogil:
    """Return the next ``[`` with the first colon of a time behind it and room for that time; NULL if there is none.

    Nearly always it is the first ``[``. A stranger can send a megabyte of them, so the search goes on 64 bytes at a
    time: 2 instructions a byte. A memchr for each costs 36.
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
    """Return where the time of a whole request begins, ``[time] "request" 200``; NULL where there is none.

    A client cannot write such a text into a field that is logged in quotes, as its quotes get a backslash each.
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
    """Tell whether lines are glued together: what follows the bytes of a line has a request of its own."""
    return has_byte(p, end, b"[") and another_line(p, end) != NULL


cdef inline bint is_alone(const Steps *steps, Reading *reading, const char *end) noexcept nogil:
    """Tell whether no other line is glued to a line that was read.

    Servers write no carriage return into a line. Lines from the left on, which end with one, go on to the newline.
    """
    if not steps.anchored:
        while end != reading.behind and ((end - 1)[0] == b"\r" or is_blank((end - 1)[0])):
            end -= 1
        if has_byte(reading.behind, end, b"\r"):
            reading.agreed, reading.stopped, reading.trouble = steps.needed, reading.behind, GLUED
            return False
    if not steps.alone or not holds_another_line(reading.behind, end):
        return True
    reading.agreed, reading.stopped, reading.trouble = steps.needed, another_line(reading.behind, end), GLUED
    return False


cdef inline void keep_furthest(Reading *furthest, const Reading *reading) noexcept nogil:
    """Keep a reading that went further than those before, or as far as the first one."""
    if furthest != NULL and (furthest.stopped == NULL or reading.agreed > furthest.agreed or reading.trouble == GLUED):
        furthest[0] = reading[0]


cdef inline bint read_line(
    Cursor line, const Steps *steps, int last, Reading *reading, DayMemo *memo, Reading *furthest, bint loosely
) noexcept nogil:
    """Read a line by the steps up to *last*; False for a malformed one.

    Of a malformed line *furthest*, where it is not NULL, gets the reading that went furthest.
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
        tries += reading.agreed > 1    # a time, and what follows it
    return False


cdef inline Span field_of(const Reading *reading, const Steps *steps, int kind) noexcept nogil:
    cdef int at = steps.at[kind]
    cdef Span absent
    if 0 <= at < reading.agreed:
        return reading.found[at]
    memset(&absent, 0, sizeof(Span))
    return absent


cdef inline void fill_line(Line *line, const Reading *reading, const Steps *steps) noexcept nogil:
    """Make what is kept of a line from its fields."""
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
    """Set method, target and protocol from fields of their own. In a format without methods every line is a GET."""
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
    """Set the fields that only rules look at."""
    line.referer = field_of(reading, steps, REFERER)
    line.user_agent = field_of(reading, steps, USER_AGENT)
    line.host = field_of(reading, steps, VHOST)
