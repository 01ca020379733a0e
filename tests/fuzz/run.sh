#!/bin/sh
# run.sh PROGRAM SECONDS: fuzzes from the corpus beside this file, for so long. New inputs go to build/, never
# into the tree; an input that fails is left there too, and named.
set -eu
program=$1
seconds=$2
here=$(dirname "$0")
name=$(basename "$program")
found=build/fuzz/found/$name
mkdir -p "$found"
log=build/fuzz/$name.log
if "$program" -max_total_time="$seconds" -max_len=4096 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/$name-" "$found" "$here/corpus" > "$log" 2>&1; then
        echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s, no fault"
else
        tail -n 40 "$log"
        exit 1
fi
