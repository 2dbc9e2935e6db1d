"""Answers of the rules' Python functions: each user agent, path or referer is asked about once."""

from libc.stdint cimport uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memset

from fasthits.core.counts cimport Answer, Tally
from fasthits.core.fields cimport as_bytes, span_of
from fasthits.core.lines cimport A_FILE, NO_FILE
from fasthits.core.table cimport NO_MEMORY, Table, add_views, free_table, hash_row, secrets
from fasthits.core.tokens cimport Span

cdef enum:
    KNOWN_BYTES = 1 << 24      # a table of answers with more bytes is emptied


cdef inline uint64_t place_of(Tally *tally, dict places, tuple texts) except? 0:
    """Return the place of an answer in `tally.answers`. A new answer is appended."""
    cdef size_t place = len(places)
    cdef Answer *answers
    cdef int table
    if texts in places:
        return places[texts]
    if place & (place - 1) == 0:    # the capacity is a power of two, and all of it is in use
        answers = <Answer *>realloc(tally.answers, max(<size_t>1, 2 * place) * sizeof(Answer))
        if answers == NULL:
            raise MemoryError
        tally.answers = answers
    memset(&tally.answers[place], 0, sizeof(Answer))
    for table, text in enumerate(texts):
        if text is not None:
            tally.answers[place].text[table] = span_of(text)
    places[texts] = place
    return place


cdef inline int learn(Tally *tally, dict places, verdict, is_static, referers) except -1:
    """Ask the rules about the user agent, path or referer for which the count stopped, and remember the answer."""
    cdef Span asked = tally.asked
    cdef Table *known = tally.asked_for
    cdef bint is_referer = known == &tally.referers
    cdef uint64_t answer, hash
    if known.used > KNOWN_BYTES:    # strangers choose these texts, so there may be any number of them
        free_table(known)
        if is_referer:
            places.clear()
    if is_referer:
        answer = place_of(tally, places, tuple([read(as_bytes(asked)) for read in referers.values()]))
    elif known == &tally.paths:
        answer = A_FILE if is_static(as_bytes(asked)) else NO_FILE
    else:
        answer = verdict(as_bytes(asked))
    hash = hash_row(secrets, 0, asked.start, asked.size)
    if add_views(known, hash, 0, asked, answer + 1, <size_t>-1) == NO_MEMORY:
        raise MemoryError
    return 0
