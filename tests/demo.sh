#!/bin/bash
# The main job, start to end, on whatever Vulkan device the machine has: a real file into GPU memory with gpuctl,
# back with the Python client, copied on the device, compared by SHA-256. Called by `make demo` after the build;
# by itself it needs only the programs (GPUD_BUILD, default build/) and a Python that has msgpack.
set -eu
cd "$(dirname "$0")/.."
export GPUD_BUILD=${GPUD_BUILD:-$PWD/build}
export PYTHONPATH=$PWD/python-client/src${PYTHONPATH:+:$PYTHONPATH}

# The demo runs itself again inside a gpud of its own.
[ "${1:-}" = inside ] || exec tests/with-gpud.sh "$0" inside

gpuctl=$GPUD_BUILD/gpuctl
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for python in build/venv/bin/python python3 /usr/bin/python3 none; do
        ! "$python" -c 'import msgpack' 2> /dev/null || break
done
[ "$python" != none ] || { echo "demo: no Python has msgpack: make deps" >&2; exit 1; }

title() {
        printf '\n\033[1m%s\033[0m\n' "$1"
}
[ -t 1 ] || title() { printf '\n%s\n' "$1"; }

# step DOES COMMAND...: runs it and says how long it took.
step() {
        local does=$1 began ended
        shift
        began=$(date +%s%N)
        "$@"
        ended=$(date +%s%N)
        printf '  %-52s %8.3f s\n' "$does" "$(((ended - began) / 1000000))e-3"
}

sha256() {
        sha256sum "$1" | cut -d ' ' -f 1
}

title "The devices"
"$gpuctl" status

# A real file: the largest kind of thing every machine has is a library.
file=$(find -L /usr/lib /usr/bin -xdev -type f -readable -size +64M -size -512M 2> /dev/null | head -n 1 || true)
if [ -z "$file" ]; then
        file=$work/file
        head -c 67108864 /dev/urandom > "$file"
fi
size=$(stat -L -c %s "$file")
expected=$(sha256 "$file")

title "A file of $((size >> 20)) MiB into GPU memory and back"
echo "  $file"
put() { "$gpuctl" put "$file" --name=demo > "$work/handle"; }
step "gpuctl put: file to GPU" put
step "Python: GPU to memory, copy on the device, back" "$python" tests/demo.py "$expected"
get() { "$gpuctl" get demo/copy "$work/copy"; }
step "gpuctl get: the copy to a file" get

title "What gpud holds now"
"$gpuctl" status
echo
"$gpuctl" ls

title "The bytes"
printf '  %s  file\n  %s  after file - GPU - GPU - file\n' "$expected" "$(sha256 "$work/copy")"
[ "$(sha256 "$work/copy")" = "$expected" ] || { echo "demo: the bytes differ" >&2; exit 1; }

"$gpuctl" rm demo demo/copy
[ -z "$("$gpuctl" ls)" ] || { echo "demo: something is left" >&2; exit 1; }
echo "  the same; freed, nothing left"
