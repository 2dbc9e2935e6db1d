"""Rules: what is read of a line, and whether the line is a hit."""

from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp, memset

from fasthits.core.plain cimport take_plain_referer_and_agent
from fasthits.core.steps cimport (
    BYTES, CLF_TIME, DIGITS_OR_DASH, LITERAL, QUOTED, REFERER, REQUEST, STATUS, TEXT, THREE_DIGITS, TIME, USER_AGENT,
    VHOST, Reading, Step, Steps, fill_line, fill_tail, memmem, read_line, take_steps,
)
from fasthits.core.times cimport DayMemo
from fasthits.core.tokens cimport Cursor, Line, Span, has_path, line_cursor, number

cdef enum:                 # buckets
    HIT, OTHER_METHOD, NO_PATH, OTHER_STATUS, OTHER_DAY, OTHER_AGENT, BOT, MALFORMED, BUCKETS

cdef enum:
    PLAIN_STEPS = 7        # that take_plain_get takes at once
    COMBINED_STEPS = 11    # that take_plain_get and take_plain_referer_and_agent take

cdef struct Rules:
    bint plain             # every GET of a path is a hit under that path
    bint knows_plain_gets  # the format begins as combined does, which is how take_plain_get reads a line
    bint knows_agents      # it goes on as combined does, and no rule looks at what follows the user agent
    Span *methods
    int methods_count
    bint takes_get         # whether GET is one of them
    bint any_status
    uint8_t[1000] statuses
    bint keep_query, by_host, by_agent, apart
    int referer_tables
    Steps steps
    int last               # of a line no more steps than these are looked at
    Span host_end          # what stands behind a virtual host before the time; absent where there is none
    int host_words         # so many words stand before it


cdef inline bint is_step(const Step *step, int kind, int how, const char *text, size_t size) noexcept nogil:
    if step.how != how or (how != LITERAL and step.kind != kind):
        return False
    return how != LITERAL or (step.size == size and memcmp(step.text, text, size) == 0)


cdef inline bint begins_as_combined(const Steps *steps) noexcept nogil:
    """Tell whether lines hold ``[%t] "%r" %>s %b``, all that is needed being there."""
    return (
        steps.anchored and steps.count >= PLAIN_STEPS and steps.needed == PLAIN_STEPS
        and is_step(&steps.step[0], TIME, CLF_TIME, NULL, 0) and is_step(&steps.step[1], 0, LITERAL, b'] "', 3)
        and is_step(&steps.step[2], REQUEST, QUOTED, NULL, 0) and is_step(&steps.step[3], 0, LITERAL, b'" ', 2)
        and is_step(&steps.step[4], STATUS, THREE_DIGITS, NULL, 0) and is_step(&steps.step[5], 0, LITERAL, b" ", 1)
        and is_step(&steps.step[6], BYTES, DIGITS_OR_DASH, NULL, 0)
    )


cdef inline bint goes_on_as_combined(const Steps *steps) noexcept nogil:
    """Tell whether `` "%{Referer}i" "%{User-Agent}i"`` is behind that."""
    return (
        steps.count >= COMBINED_STEPS
        and is_step(&steps.step[7], 0, LITERAL, b' "', 2) and is_step(&steps.step[8], REFERER, QUOTED, NULL, 0)
        and is_step(&steps.step[9], 0, LITERAL, b'" "', 3) and is_step(&steps.step[10], USER_AGENT, QUOTED, NULL, 0)
    )


cdef inline void settle(Rules *rules) noexcept nogil:
    """Set what follows from the rest of the rules."""
    cdef const Steps *steps = &rules.steps
    cdef int i
    for i in range(steps.needed):
        rules.steps.searches = steps.step[i].how == TEXT or rules.steps.searches
    rules.knows_plain_gets = begins_as_combined(steps)
    rules.last = steps.needed
    if rules.referer_tables:
        rules.last = max(rules.last, steps.at[REFERER] + 1)
    if rules.by_agent:
        rules.last = max(rules.last, steps.at[USER_AGENT] + 1)
    if rules.by_host:
        rules.last = max(rules.last, steps.at[VHOST] + 1)
    rules.knows_agents = rules.last <= COMBINED_STEPS and goes_on_as_combined(steps)
    rules.plain = (
        rules.methods_count == 1 and rules.takes_get and rules.any_status
        and not (rules.keep_query or rules.by_host or rules.by_agent or rules.referer_tables)
    )


cdef inline bint take_line(
    const Rules *rules, const char *start, size_t size, Line *line, DayMemo *memo
) noexcept nogil:
    """Read what the rules look at; False for a malformed line."""
    cdef Reading reading
    if not read_line(line_cursor(start, size), &rules.steps, rules.last, &reading, memo, NULL):
        return False
    fill_line(line, &reading, &rules.steps)
    if rules.by_host and rules.host_end.start != NULL:
        take_host(start, line.time, rules, &line.host)
    return True


cdef inline void take_rest_of_plain_get(
    const Rules *rules, const char *start, size_t size, Cursor rest, Line *line, DayMemo *memo
) noexcept nogil:
    """Read what the rules look at beside what take_plain_get has taken."""
    cdef Reading reading
    memset(&line.host, 0, sizeof(Span))
    if rules.last > PLAIN_STEPS:
        rest.end = line_cursor(start, size).end
        if rules.knows_agents:
            take_plain_referer_and_agent(&rest, rules.by_agent, line)
        else:
            take_steps(rest, &rules.steps, PLAIN_STEPS, rules.last, &reading, memo)
            fill_tail(line, &reading, &rules.steps)
    if rules.by_host and rules.host_end.start != NULL:
        take_host(start, line.time, rules, &line.host)


cdef inline void take_host(const char *start, const char *time, const Rules *rules, Span *host) noexcept nogil:
    """Take the virtual host before the time; absent where there is none, or it has a space in it."""
    cdef const char *p = start
    cdef const char *end
    cdef int _word
    memset(host, 0, sizeof(Span))
    for _word in range(rules.host_words):
        p = <const char *>memchr(p, b" ", <size_t>(time - p))
        if p == NULL:
            return
        p += 1
    start = p
    if p[0] == b"[":    # an address of IPv6, with colons in it
        end = <const char *>memchr(p, b"]", <size_t>(time - p))
        p = end + 1 if end != NULL else p
    end = <const char *>memmem(p, <size_t>(time - p), rules.host_end.start, rules.host_end.size)
    if end != NULL and end != start and memchr(start, b" ", <size_t>(end - start)) == NULL:
        host.start, host.size = start, <size_t>(end - start)


cdef inline bint is_method(const Rules *rules, Span method) noexcept nogil:
    cdef int i
    for i in range(rules.methods_count):
        if method.size == rules.methods[i].size and memcmp(method.start, rules.methods[i].start, method.size) == 0:
            return True
    return False


cdef inline int bucket_of(const Rules *rules, const Line *line, bint is_plain_get) noexcept nogil:
    """Return the bucket of a line by its request and status alone."""
    if not (rules.takes_get if is_plain_get else is_method(rules, line.method)):
        return OTHER_METHOD
    if not is_plain_get and not has_path(line.path):
        return NO_PATH
    if not rules.any_status and not (line.status.start != NULL and rules.statuses[number(line.status.start, 3)]):
        return OTHER_STATUS
    return HIT
