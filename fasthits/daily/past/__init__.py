"""Reading the days that rollups have kept, and showing them.

- opening: which database a name means; kept, gaps: the days in it, and the days that are missing
- history: questions to these days; documents: the answers as JSON; report: as an HTML file
"""
