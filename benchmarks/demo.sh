#!/usr/bin/env bash
# The main job from end to end, each command shown before it runs: what it prints is the tutorial.
# With the argument "page" it opens the web page on what it has counted before.
set -euo pipefail

say() { printf '\n# %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; eval "$*"; }

start_memcached() {
    port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    run "memcached -l 127.0.0.1 -p $port $([ "$(id -u)" = 0 ] && echo '-u nobody ')& "
    memcached=$!
    trap 'kill $(jobs -p)' EXIT
    until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        kill -0 $memcached
        sleep 0.05
    done
    run "export FASTHITS_MEMCACHED=127.0.0.1:$port"
}

today=$(date +%F)
yesterday=$(date -d yesterday +%F)
log=demo/logs/$(date +%Y/%m/%d)/access.log

if [ "${1:-}" = page ]; then
    [ -f "$log" ] || { echo "Nothing has been counted today: make demo does that." >&2; exit 1; }
    export FASTHITS_CONFIG=demo/fasthits.toml
    say "The page, with a memcached of its own. Half of today's lines are counted at once, the others while you look."
    start_memcached
    {
        head -n 2500 "$log"
        while read -r line; do
            printf '%s\n' "$line"
            sleep 0.05
        done < <(tail -n +2501 "$log")
    } | fasthits log 2>/dev/null &
    run "fasthits serve --database demo/hits.db"
    exit
fi

rm -rf demo && mkdir demo

say "What counts, for all commands: page views by people, no styles, errors or bots. On a server: /etc/fasthits.toml."
run "echo 'pages = true' > demo/fasthits.toml"
run "export FASTHITS_CONFIG=demo/fasthits.toml"

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

say "Live: a memcached of our own, and today's lines through the pipe that Apache would write to."
start_memcached
run "fasthits log < $log"
run "fasthits today $(sed -n '2,4s/^[^,]*,\([^,]*\),.*$/\1/p' demo/hits.csv | tr '\n' ' ')"

run "fasthits top --once --limit 5"

say "On a server, this prints the lines for Apache, nginx, cron and systemd. Then the numbers rise while people read:"
echo "$ fasthits conf"

say "All this as a page, in a browser: make page"
