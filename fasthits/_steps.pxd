"""Lines of any format, read step by step.

A format is a row of steps: a literal, or a field with its way to find the end. A line has to agree up to the last step
that counting needs; of what follows, as much as agrees is read. Where the time stands as in Apache's common format,
before the request, the line is read from there on, and the time is searched for as in _tokens.pxd.
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memchr, memcmp, memset
from libc.time cimport localtime_r, time_t, tm

from fasthits._tokens cimport (
    Cursor, Line, Span, has_time_of_day, is_digit, month_number, number, ordinal_of, parse_date, set_target,
    split_request, take_quoted, take_status_digits,
)

cdef extern from "<string.h>" nogil:
    void *memmem(const void *haystack, size_t size, const void *needle, size_t needle_size) noexcept

cdef enum:
    MAX_STEPS = 128
    MAX_ANCHORS = 4        # times of a line that are tried
    EPOCH_STEP = 900       # seconds in which no time zone changes its offset

cdef enum:                 # kinds of fields
    SKIP, TIME, REQUEST, METHOD, TARGET, PATH, QUERY, STATUS, BYTES, REFERER, USER_AGENT, VHOST, KINDS

cdef enum:                 # ways in which a step is read
    LITERAL, QUOTED, TEXT, FIXED, THREE_DIGITS, DIGITS_OR_DASH, CLF_TIME, ISO_TIME, EPOCH_TIME, LAID_OUT_TIME

cdef struct Layout:        # where a date stands in a time; month -1: day is that of the year
    int year, year_digits, month, month_named, day, day_digits

cdef struct Step:
    int kind
    int how
    const char *text       # LITERAL: itself; TEXT: the literal behind it
    size_t size            # of text; FIXED and LAID_OUT_TIME: the width; EPOCH_TIME: the most digits
    int64_t divisor        # EPOCH_TIME: parts of a second
    Layout layout

cdef struct Steps:
    Step[MAX_STEPS] step
    int count
    int needed             # so many steps have to agree
    bint anchored          # the first step is the time, behind a bracket that is searched for

cdef struct EpochMemo:     # the day of the last time in seconds
    int64_t step
    int32_t day

cdef inline int32_t day_of_epoch(int64_t seconds, EpochMemo *memo) noexcept nogil:
    """Return the ordinal of the local day of seconds since 1970; 0 where the calendar has none."""
    cdef tm local
    cdef time_t when = seconds
    if memo.day == 0 or seconds // EPOCH_STEP != memo.step:
        if localtime_r(&when, &local) == NULL:
            return 0
        memo.step = seconds // EPOCH_STEP
        memo.day = 0 if local.tm_year > 8099 else ordinal_of(local.tm_year + 1900, local.tm_mon + 1, local.tm_mday)
    return memo.day


cdef inline bint are_digits(const char *p, int count) noexcept nogil:
    cdef int i
    for i in range(count):
        if not is_digit(p[i]):
            return False
    return True


cdef inline int32_t day_of_layout(const char *p, const Layout *layout) noexcept nogil:
    """Return the ordinal of the date that stands in a time; 0 for none of the calendar."""
    cdef int32_t year, month, day, ordinal
    cdef const char *day_text = p + layout.day
    if not are_digits(p + layout.year, layout.year_digits):
        return 0
    year = number(p + layout.year, layout.year_digits)
    if layout.year_digits == 2:
        year += 1900 if year >= 69 else 2000
    if day_text[0] == b" " and layout.day_digits == 2:
        if not is_digit(day_text[1]):
            return 0
        day = number(day_text + 1, 1)
    elif are_digits(day_text, layout.day_digits):
        day = number(day_text, layout.day_digits)
    else:
        return 0
    if layout.month < 0:
        ordinal = ordinal_of(year, 1, 1)
        if ordinal == 0 or not 1 <= day <= (366 if ordinal_of(year, 2, 29) else 365):
            return 0
        return ordinal + day - 1
    if layout.month_named:
        month = month_number(p + layout.month)
    else:
        month = number(p + layout.month, 2) if are_digits(p + layout.month, 2) else 0
    return ordinal_of(year, month, day)


cdef inline bint take_clf_time(Cursor *line, int32_t *day) noexcept nogil:
    """Take ``dd/Mon/yyyy:HH:MM:SS +hhmm``."""
    cdef const char *p = line.p
    if line.end - p < 26 or p[11] != b":" or not has_time_of_day(p + 12):
        return False
    day[0] = parse_date(p)
    line.p = p + 26
    return day[0] != 0


cdef inline bint take_iso_time(Cursor *line, const Layout *layout, int32_t *day) noexcept nogil:
    """Take ``yyyy-mm-ddTHH:MM:SS`` and ``Z``, ``+hhmm`` or ``+hh:mm``."""
    cdef const char *p = line.p
    cdef const char *form = "0000-00-00T00:00:00"
    cdef int i
    if line.end - p < 20:
        return False
    for i in range(19):
        if not (is_digit(p[i]) if form[i] == b"0" else p[i] == form[i]):
            return False
    day[0] = day_of_layout(p, layout)
    p += 19
    if p[0] == b"Z":
        p += 1
    elif (p[0] == b"+" or p[0] == b"-") and line.end - p >= 5 and are_digits(p + 1, 2):
        p += 3
        if p[0] == b":":
            p += 1
        if line.end - p < 2 or not are_digits(p, 2):
            return False
        p += 2
    else:
        return False
    line.p = p
    return day[0] != 0


cdef inline bint take_epoch(Cursor *line, const Step *step, EpochMemo *memo, int32_t *day) noexcept nogil:
    """Take a number of seconds, or of parts of a second; seconds may have a fraction."""
    cdef const char *p = line.p
    cdef int64_t value = 0
    while p != line.end and is_digit(p[0]) and <size_t>(p - line.p) < step.size:
        value = value * 10 + (p[0] - c"0")
        p += 1
    if p == line.p:
        return False
    if step.divisor == 1 and p != line.end and p[0] == b".":
        p += 1
        while p != line.end and is_digit(p[0]):
            p += 1
    line.p = p
    day[0] = day_of_epoch(value // step.divisor, memo)
    return day[0] != 0


cdef inline bint take_text(Cursor *line, const Step *step, Span *out) noexcept nogil:
    """Take bytes up to the literal behind the field, which stays, or to the end of the line."""
    cdef const char *found = NULL
    if step.size == 1:
        found = <const char *>memchr(line.p, step.text[0], <size_t>(line.end - line.p))
    elif step.size:
        found = <const char *>memmem(line.p, <size_t>(line.end - line.p), step.text, step.size)
    out.start = line.p
    out.size = <size_t>((found if found != NULL else line.end) - line.p)
    line.p += out.size
    return True


cdef inline bint take_step(
    Cursor *line, const Step *step, Span *out, int32_t *day, EpochMemo *memo
) noexcept nogil:
    """Take one step; False where the line does not agree, the cursor anywhere."""
    cdef const char *start = line.p
    cdef bint agrees
    if step.how == LITERAL:
        agrees = <size_t>(line.end - start) >= step.size and memcmp(start, step.text, step.size) == 0
        line.p += step.size if agrees else 0
        return agrees
    if step.how == QUOTED:
        agrees = take_quoted(line, out)
        line.p -= 1 if agrees else 0        # the quote is part of the literal behind it
        return agrees
    if step.how == TEXT:
        return take_text(line, step, out)
    if step.how == CLF_TIME:
        agrees = take_clf_time(line, day)
    elif step.how == ISO_TIME:
        agrees = take_iso_time(line, &step.layout, day)
    elif step.how == EPOCH_TIME:
        agrees = take_epoch(line, step, memo, day)
    elif step.how == THREE_DIGITS:
        agrees = take_status_digits(line)
    elif step.how == DIGITS_OR_DASH:
        if line.p != line.end and line.p[0] == b"-":
            line.p += 1
        else:
            while line.p != line.end and is_digit(line.p[0]):
                line.p += 1
        agrees = line.p != start
    else:
        agrees = <size_t>(line.end - start) >= step.size
        line.p += step.size if agrees else 0
        if agrees and step.how == LAID_OUT_TIME:
            day[0] = day_of_layout(start, &step.layout)
            agrees = day[0] != 0
    out.start, out.size = start, <size_t>(line.p - start)
    return agrees


cdef inline bint ends_well(const Cursor *line, const Steps *steps) noexcept nogil:
    """Tell whether what follows the last needed step may follow it."""
    cdef const Step *last = &steps.step[steps.needed - 1]
    if last.how == QUOTED or last.how == TEXT or last.how == LITERAL or line.p == line.end or line.p[0] == b" ":
        return True
    return steps.needed < steps.count and line.p[0] == steps.step[steps.needed].text[0]


cdef inline bint take_steps(
    Cursor *line, const Steps *steps, Span *fields, int32_t *day, EpochMemo *memo
) noexcept nogil:
    """Take the fields of a line by their kinds; False for a malformed one."""
    cdef int i
    cdef Span field
    memset(fields, 0, KINDS * sizeof(Span))
    for i in range(steps.count):
        if not take_step(line, &steps.step[i], &field, day, memo):
            return i >= steps.needed
        if steps.step[i].how != LITERAL:
            fields[steps.step[i].kind] = field
        if i == steps.needed - 1 and not ends_well(line, steps):
            return False
    return steps.count >= steps.needed


cdef inline bint take_anchored_steps(
    Cursor *line, const Steps *steps, Span *fields, int32_t *day, EpochMemo *memo
) noexcept nogil:
    """Search for the time, then take all from there on.

    Each step may look at all the rest of the line. So a line with MAX_ANCHORS times that come to nothing is malformed.
    """
    cdef Cursor rest
    cdef int tries = 0
    cdef const char *bracket = line.p
    while tries < MAX_ANCHORS:
        bracket = <const char *>memchr(bracket, b"[", <size_t>(line.end - bracket))
        if bracket == NULL:
            return False
        bracket += 1
        if (line.end - bracket < 29 or memcmp(bracket + 26, b'] "', 3) != 0 or bracket[11] != b":"
                or not has_time_of_day(bracket + 12)):
            continue
        tries += 1
        rest.p, rest.end = bracket, line.end
        if take_steps(&rest, steps, fields, day, memo):
            return True
    return False


cdef inline void fill_line(Line *line, Span *fields) noexcept nogil:
    """Make what is kept of a line from its fields."""
    cdef Span target, protocol
    line.status, line.referer, line.user_agent = fields[STATUS], fields[REFERER], fields[USER_AGENT]
    line.host = fields[VHOST]
    memset(&line.query, 0, sizeof(Span))
    if fields[REQUEST].start != NULL:
        split_request(fields[REQUEST], &line.method, &target, &protocol)
    else:
        line.method, target = fields[METHOD], fields[TARGET]
        if target.start == NULL:
            line.path, line.query = fields[PATH], fields[QUERY]
            if line.query.size == 0 or line.query.start[0] != b"?":
                memset(&line.query, 0, sizeof(Span))
            return
    set_target(line, target)
