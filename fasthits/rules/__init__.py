"""What counts, and under which path. No module here reads a log or talks to a server.

- options, config, keywords: where rules are set; rules: the rules
- bots, paths, referrers, searches, patterns: what each kind of rule looks at
- compiled: the rules made ready for the core; intake: lines given to the core; timestamps: their times;
  memo: answers to repeated questions
- judge: whether one line counts; guidance, unreadable: why a line does not count, and what to type
"""
