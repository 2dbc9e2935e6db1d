"""What logs look like: the formats of lines, by name or by their string in a server's configuration. No I/O.

- named, assembled: formats with a name; detection: which of them a log has
- format, directives, pasted: formats by the string of Apache, nginx, Envoy ...; misses: where a line does not fit
- json_ltsv_w3c, jsonlines, jsonkeys: formats whose fields have names in the log
- escapes, packing: ``\\xhh`` in a line, and gzip, zstd or UTF-16 around it
"""
