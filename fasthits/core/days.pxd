"""Days: a bit for each day that counts or was seen; the views of each day, also by hour."""

from libc.stdint cimport int32_t, uint8_t, uint64_t
from libc.stdlib cimport calloc

from fasthits.core.counts cimport LAST_DAY, has_day
from fasthits.core.table cimport NO_DAY, Row, Table, row_at, row_bytes, row_path, walked_row
from fasthits.core.times cimport NO_HOUR


cdef inline uint8_t *no_days() except NULL:
    """Return a bit for each day of the calendar, all 0, in whole words. Pages of memory that stay 0 cost nothing."""
    cdef uint8_t *days = <uint8_t *>calloc(LAST_DAY // 64 + 1, 8)
    if days == NULL:
        raise MemoryError
    return days


cdef inline uint8_t *bits_of(list ordinals) except NULL:
    """Return a bit for each day of the calendar, 1 for *ordinals*."""
    cdef uint8_t *days = no_days()
    cdef int32_t day
    for day in ordinals:
        days[day >> 3] |= <uint8_t>(1 << (day & 7))
    return days


cdef inline list ordinals_of(const uint8_t *days):
    """Return the ordinals of the days whose bit is 1."""
    cdef int32_t byte, day
    ordinals = []
    for byte in range(LAST_DAY // 8 + 1):
        if days[byte]:
            for day in range(byte * 8, byte * 8 + 8):
                if has_day(days, day):
                    ordinals.append(day)
    return ordinals


cdef inline dict views_by_ordinal(const Table *table):
    """Return the views of each day with views, by the ordinal of the day."""
    cdef size_t offset = 0
    cdef uint64_t views = 0
    cdef int32_t ordinal = 0
    cdef Row *row
    found = {}
    while offset < table.used:
        row = walked_row(table, offset)
        offset += row_bytes(row.size)
        if row.day == NO_DAY:
            continue
        if row.day != ordinal:
            add_to_day(found, ordinal, views)
            ordinal, views = row.day, 0
        views += row.views
    add_to_day(found, ordinal, views)
    return found


cdef inline int add_to_day(dict found, int32_t ordinal, uint64_t views) except -1:
    if views:
        found[ordinal] = found.get(ordinal, 0) + views
    return 0


cdef inline dict hours_by_ordinal(const Table *hours):
    """Return the views of each hour of the days with views, by the ordinal of the day."""
    cdef size_t offset = 0
    cdef const Row *row
    found = {}
    while offset < hours.used:
        row = row_at(hours, offset)
        if row.day not in found:
            found[row.day] = [0] * NO_HOUR
        found[row.day][<int>row_path(row)[0]] = row.views
        offset += row_bytes(row.size)
    return found
