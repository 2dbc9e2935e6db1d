"""The compiled core, `fasthits._parse`: bytes in, counts out. No files, no servers. Lines are counted without the GIL.

Lines, from the smallest step up:
- masks.h: 64 bytes at once, and where the lines of a block end
- tokens.pxd: bytes up to a byte, quoted text, digits; the struct of a line
- times.pxd: the day in a time
- plain.pxd: the fast path, for plain lines; nearly all lines are plain
- steps.pxd: the general path, for all formats but the three below
- ltsv_w3c.pxd: LTSV and the W3C format, whose fields have names in the log
- json.pxd: JSON's grammar
- jsonnames.pxd, jsontexts.pxd: names of fields and their keys; texts as Apache would have logged them
- jsonlines.pxd: the fields of an object, and the line that it stands for
- reader.pxd: memory that is kept from line to line; removes quotes around a whole line
- lines.pxd: the ways to read a line; the rules, which say what is read and whether the line is a hit

Counting:
- table.pxd: the hit table; views by day and path
- counts.pxd: puts lines into buckets, hits into hit tables
- answers.pxd: asks Python once about each user agent and referer
- moves.pxd: rows from one hit table to others
- gather.pxd: merges hit tables
- threads.pxd: several threads at once, without the interpreter
- days.pxd: days that count, days seen, views of each day

Results:
- order.pxd: sorts rows
- csv.pxd: writes rows as CSV
- runs.pxd: writes rows as bytes, called runs, and merges runs
- pieces.pxd: the rows of a run as Python objects
- varints.pxd: whole numbers, seven bits at a time
- fields.pxd: the fields of a line as Python objects
- sums.pxd: views by path, packed
- utf8.pxd, escapes.pxd: escapes and percent-encoding
"""
