"""The compiled core, `fasthits._parse`: bytes in, counts out. No files, no servers, nearly no GIL.

Lines, from the smallest step up:
- masks.h: 64 bytes at once, and where the lines of a block end
- tokens.pxd: bytes up to a byte, quoted text, digits; the struct of a line
- times.pxd: the day in a time
- plain.pxd: the fast path, for the shape that nearly all lines have
- steps.pxd: the general path, for every format of text
- columns.pxd: LTSV and W3C's format, whose fields have names in the log
- json.pxd: objects of JSON
- reader.pxd: what is kept from line to line; quotes around a whole line
- lines.pxd: the ways to read a line, and rules; which fields are read, and whether a line is a hit

Counting:
- table.pxd: the hit table; views by day and path
- counts.pxd: the books; lines into buckets, hits into hit tables
- answers.pxd: asks Python once about each user agent and referer
- moves.pxd: rows from one hit table to others
- gather.pxd: rows of several hit tables put together
- threads.pxd: several threads without the interpreter
- days.pxd: days that count, days seen, views of each day

Out:
- order.pxd: sorts rows
- csv.pxd: writes them as CSV
- runs.pxd: writes them as bytes, and merges such runs of rows
- pieces.pxd: rows in such bytes as Python objects
- varints.pxd: whole numbers, seven bits at a time
- fields.pxd: fields of a line as Python objects
- sums.pxd: views by path, packed
- utf8.pxd, codes.pxd: escapes and percent-encoding
"""
