#!/usr/bin/env bash
# The main job from end to end, each command shown before it runs: what it prints is the tutorial.
set -euo pipefail

say() { printf '\n# %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; eval "$*"; }

today=$(date +%F)
yesterday=$(date -d yesterday +%F)
rm -rf demo && mkdir demo

say "A sample log, made up by the project's own generator: yesterday's, and today's up to now."
run "python -m benchmarks.corpus 'demo/logs/%Y/%m/%d/access.log' $yesterday --lines 20000"
run "python -m benchmarks.corpus 'demo/logs/%Y/%m/%d/access.log' $today --lines 5000 --seed 2"

say "The nightly batch: one row per path and day, into SQLite. It is safe to run it again."
run "fasthits rollup $yesterday --logs 'demo/logs/%Y/%m/%d/access.log' --to demo/hits.db"

say "The same into CSV, most read first."
run "fasthits rollup $yesterday --logs 'demo/logs/%Y/%m/%d/access.log' --to demo/hits.csv"
run "head -n 6 demo/hits.csv"

if ! command -v memcached >/dev/null; then
    say "Live counting needs memcached, which is not here: sudo apt-get install memcached, then make demo."
    exit 0
fi

port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export FASTHITS_MEMCACHED=127.0.0.1:$port
say "Live: a memcached of our own, and today's lines through the pipe that Apache would write to."
run "memcached -l 127.0.0.1 -p $port $([ "$(id -u)" = 0 ] && echo '-u nobody ')& "
memcached=$!
trap 'kill $memcached' EXIT
until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    kill -0 $memcached
    sleep 0.05
done
run "export FASTHITS_MEMCACHED=$FASTHITS_MEMCACHED"
run "fasthits log < demo/logs/$(date +%Y/%m/%d)/access.log"
run "fasthits today $(sed -n '2,4s/^[^,]*,\([^,]*\),.*$/\1/p' demo/hits.csv | tr '\n' ' ')"

say "With Apache it is one line of its configuration, and the numbers rise while people read:"
echo "CustomLog \"|$(command -v fasthits) log --user www-data\" combined"
