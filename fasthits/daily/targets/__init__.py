"""Where a rollup puts its days: what every target can do, which target a name means, which days stay unchanged."""
