"""The rooms of the compiled core, `fasthits._parse`: bytes in, counts out; no files, no servers, nearly all without
the GIL.

A line comes in through lines.pxd. plain.pxd reads the shape that nearly all lines have, steps.pxd every format, both
with tokens.pxd. counts.pxd puts lines into buckets and hits into the tables of table.pxd; moves.pxd takes rows from
one table to another; order.pxd sorts and writes them; utf8.pxd escapes what is not UTF-8; codes.pxd reads
escapes and percent-encoding.
"""
