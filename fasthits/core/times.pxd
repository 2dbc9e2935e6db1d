"""Times: finds the day and the hour in a time of any layout. Day and hour are those in the text; no zone is converted.

The reader remembers the last date and hour. So for most lines the core only compares fifteen bytes.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcmp
from libc.time cimport localtime_r, time_t, tm

from fasthits.core.tokens cimport Cursor, are_digits, is_digit, load8, number, skip_past

cdef enum:
    CLF_SIZE = 26          # dd/Mon/yyyy:HH:MM:SS +hhmm
    EPOCH_STEP = 900       # seconds: zones change their offset only at multiples of 15 minutes
    HOUR_BITS = 5          # a moment is a day's ordinal and, in its low bits, an hour; moment 0: an invalid date
    NO_HOUR = 24           # the hour of a time that has no hour, or an hour from 24 to 99

cdef struct DayMemo:       # its moments are 0 before the first time, and for invalid dates
    uint64_t head          # ``dd/Mon/y`` and ``yyyy:HH:`` of the last time in Apache's common format
    uint64_t tail
    int32_t moment
    uint64_t zone          # ``+hhmm] "`` of the last plain line; 0 before the first, or if the last date was invalid
    int64_t epoch_step     # the last time in seconds, divided by EPOCH_STEP
    int32_t epoch_moment

cdef struct Layout:        # offsets in a time; month -1: day counts from 1 January; hour -1: the time has no hour
    int year, year_digits, month, month_named, day, day_digits, hour


cdef inline int32_t moment_of(int32_t day, int32_t hour) noexcept nogil:
    """Return the moment of an hour of a day; 0 for day 0."""
    if day == 0:
        return 0
    return day << HOUR_BITS | (hour if hour < NO_HOUR else <int32_t>NO_HOUR)


cdef inline int32_t day_at(int32_t moment) noexcept nogil:
    return moment >> HOUR_BITS


cdef inline int32_t hour_at(int32_t moment) noexcept nogil:
    return moment & ((1 << HOUR_BITS) - 1)


cdef inline int32_t month_number(const char *p) noexcept nogil:
    cdef const char *names = "JanFebMarAprMayJunJulAugSepOctNovDec"
    cdef int32_t month
    for month in range(12):
        if memcmp(p, names + 3 * month, 3) == 0:
            return month + 1
    return 0


cdef inline int32_t ordinal_of(int32_t year, int32_t month, int32_t day) noexcept nogil:
    """Return the ordinal of a date (1 for 1 January of year 1); 0 for an invalid date."""
    cdef int32_t before, days_in_month
    cdef bint leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not (1 <= month <= 12 and 1 <= year <= 9999 and 1 <= day):
        return 0
    if month == 2:
        days_in_month = 29 if leap else 28
    else:
        days_in_month = 30 if month in (4, 6, 9, 11) else 31
    if day > days_in_month:
        return 0
    before = (month * 367 - 362) // 12      # days before the month, if February had 30
    if month > 2:
        before -= 1 if leap else 2
    year -= 1
    return year * 365 + year // 4 - year // 100 + year // 400 + before + day


cdef inline bint has_clock(const char *p) noexcept nogil:
    """Tell whether ``HH:MM:SS`` is at *p*. All digits are checked at once.

    The XOR of a digit and "0" has a high half of 0, and still has after 6 is added. No other character does both.
    """
    cdef uint64_t other = load8(p) ^ load8(b"00:00:00")
    other |= other + load8(b"\x06\x06\x00\x06\x06\x00\x06\x06")
    return (other & load8(b"\xf0\xf0\xff\xf0\xf0\xff\xf0\xf0")) == 0


cdef inline int32_t day_of_clf(const char *p) noexcept nogil:
    """Return the ordinal of ``dd/Mon/yyyy``; 0 for an invalid date."""
    if not (are_digits(p, 2) and p[2] == b"/" and p[6] == b"/" and are_digits(p + 7, 4)):
        return 0
    return ordinal_of(number(p + 7, 4), month_number(p + 3), number(p, 2))


cdef inline int32_t day_of_short_clf(const char *p) noexcept nogil:
    """Return the ordinal of ``d/Mon/yyyy``; 0 for an invalid date."""
    if not (is_digit(p[0]) and p[1] == b"/" and p[5] == b"/" and are_digits(p + 6, 4)):
        return 0
    return ordinal_of(number(p + 6, 4), month_number(p + 2), number(p, 1))


cdef inline int32_t moment_of_clf(const char *p) noexcept nogil:
    """Return the moment of ``dd/Mon/yyyy:HH``; 0 for an invalid date. The caller has checked that HH are digits."""
    return moment_of(day_of_clf(p), number(p + 12, 2))


cdef inline int32_t moment_of_layout(const char *p, const Layout *layout) noexcept nogil:
    """Return the moment of a time; 0 for an invalid date."""
    cdef int32_t day = day_of_layout(p, layout)
    if layout.hour < 0 or not are_digits(p + layout.hour, 2):
        return moment_of(day, NO_HOUR)
    return moment_of(day, number(p + layout.hour, 2))


cdef inline int32_t day_of_layout(const char *p, const Layout *layout) noexcept nogil:
    """Return the ordinal of the date in a time; 0 for an invalid date."""
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


cdef inline int32_t moment_of_epoch(int64_t seconds, DayMemo *memo) noexcept nogil:
    """Return the local moment of seconds since 1970; 0 for years after 9999, or after 2038 where time_t has 32 bits."""
    cdef tm local
    cdef time_t when = <time_t>seconds
    if memo.epoch_moment == 0 or seconds // EPOCH_STEP != memo.epoch_step:
        if <int64_t>when != seconds or localtime_r(&when, &local) == NULL:
            return 0
        memo.epoch_step = seconds // EPOCH_STEP
        memo.epoch_moment = 0
        if local.tm_year <= 8099:
            memo.epoch_moment = moment_of(
                ordinal_of(local.tm_year + 1900, local.tm_mon + 1, local.tm_mday), local.tm_hour
            )
    return memo.epoch_moment


# Each function below also steps over a time with an invalid date, such as 31 February. Its moment is 0.

cdef inline bint take_clf_time(Cursor *line, int32_t *moment, DayMemo *memo) noexcept nogil:
    """Take ``dd/Mon/yyyy:HH:MM:SS +hhmm``."""
    cdef const char *p = line.p
    if line.end - p < CLF_SIZE or p[11] != b":" or not has_clock(p + 12) or p[20] != b" ":
        return False
    if (p[21] != b"+" and p[21] != b"-") or not are_digits(p + 22, 4):
        return False
    if load8(p) != memo.head or load8(p + 7) != memo.tail:
        memo.head, memo.tail = load8(p), load8(p + 7)
        memo.moment = moment_of_clf(p)
        if memo.moment == 0:
            memo.zone = 0
    moment[0] = memo.moment
    line.p = p + CLF_SIZE
    return True


cdef inline void skip_fraction(Cursor *line) noexcept nogil:
    """Step over the fraction of a second, if the time has a fraction."""
    cdef const char *p = line.p
    if line.end - p >= 2 and (p[0] == b"." or p[0] == b",") and is_digit(p[1]):
        p += 1
        while p != line.end and is_digit(p[0]):
            p += 1
        line.p = p


cdef inline void skip_zone(Cursor *line) noexcept nogil:
    """Step over a zone, if the time has one: ``Z``, or ``+hhmm`` or ``+hh:mm``, with or without a blank before it."""
    cdef const char *p = line.p
    if skip_past(line, b"Z"):
        return
    if p != line.end and p[0] == b" ":
        p += 1
    if line.end - p < 5 or (p[0] != b"+" and p[0] != b"-") or not are_digits(p + 1, 2):
        return
    p += 4 if p[3] == b":" else 3
    if line.end - p >= 2 and are_digits(p, 2):
        line.p = p + 2


cdef inline void skip_zone_name(Cursor *line) noexcept nogil:
    """Step over a blank and up to five capital letters, such as ``CEST``, if the time has them."""
    cdef const char *p = line.p
    if line.end - p < 2 or p[0] != b" " or not b"A" <= p[1] <= b"Z":
        return
    p += 1
    while p != line.end and p - line.p <= 5 and b"A" <= p[0] <= b"Z":
        p += 1
    line.p = p


cdef inline bint take_loose_clf_time(Cursor *line, int32_t *moment) noexcept nogil:
    """Take ``dd/Mon/yyyy:HH:MM:SS``. The day may have one digit; a fraction and a zone may follow."""
    cdef const char *p = line.p
    cdef bint is_short = line.end - p >= 20 and p[1] == b"/"
    p -= is_short
    if line.end - p < 20 or p[11] != b":" or not has_clock(p + 12):
        return False
    if is_short:
        moment[0] = moment_of(day_of_short_clf(p + 1), number(p + 12, 2))
    else:
        moment[0] = moment_of_clf(p)
    line.p = p + 20
    skip_fraction(line)
    skip_zone(line)
    skip_zone_name(line)
    return True


cdef inline bint take_iso_time(Cursor *line, int32_t *moment) noexcept nogil:
    """Take ``yyyy-mm-ddTHH:MM:SS``. A blank may replace the T; a fraction and a zone may follow."""
    cdef const char *p = line.p
    if line.end - p < 19 or not (are_digits(p, 4) and p[4] == b"-" and are_digits(p + 5, 2) and p[7] == b"-"
                                 and are_digits(p + 8, 2) and (p[10] == b"T" or p[10] == b" ") and has_clock(p + 11)):
        return False
    moment[0] = moment_of(ordinal_of(number(p, 4), number(p + 5, 2), number(p + 8, 2)), number(p + 11, 2))
    line.p = p + 19
    skip_fraction(line)
    skip_zone(line)
    return True


cdef inline bint take_epoch(
    Cursor *line, size_t digits, int64_t divisor, int32_t *moment, DayMemo *memo
) noexcept nogil:
    """Take a number of up to *digits* digits: seconds since 1970 times *divisor*. Seconds may have a fraction."""
    cdef const char *p = line.p
    cdef int64_t value = 0
    while p != line.end and is_digit(p[0]) and <size_t>(p - line.p) < digits:
        value = value * 10 + (p[0] - c"0")
        p += 1
    if p == line.p:
        return False
    if divisor == 1 and p != line.end and p[0] == b".":
        p += 1
        while p != line.end and is_digit(p[0]):
            p += 1
    line.p = p
    moment[0] = moment_of_epoch(value // divisor, memo)
    return True


cdef inline bint take_laid_out_time(
    Cursor *line, size_t size, const Layout *layout, int32_t *moment
) noexcept nogil:
    """Take a time of *size* bytes, whose *layout* says where the date is."""
    if <size_t>(line.end - line.p) < size:
        return False
    moment[0] = moment_of_layout(line.p, layout)
    line.p += size
    return True
