#!/bin/sh
# with-gpud.sh COMMAND [ARGUMENT...]
# Runs COMMAND with GPUD_SOCKET set to a gpud of its own, which is stopped afterwards. It serves whatever Vulkan
# devices the machine has. GPUD_BUILD names the folder of the programs (build).
set -eu

build=${GPUD_BUILD:-$(cd "$(dirname "$0")/.." && pwd)/build}
directory=$(mktemp -d)
GPUD_SOCKET=$directory/gpud.sock
export GPUD_SOCKET

stop() {
        status=$?
        trap - EXIT
        if kill "$gpud" 2> /dev/null; then
                wait "$gpud" || { echo "gpud did not end well:" >&2; cat "$directory/log" >&2; status=1; }
        fi
        rm -rf "$directory"
        exit $status
}

"$build/gpud" --socket "$GPUD_SOCKET" 2> "$directory/log" &
gpud=$!
trap stop EXIT
trap 'exit 130' INT TERM

until "$build/gpuctl" daemon ping > /dev/null 2>&1; do
        if ! kill -0 "$gpud" 2> /dev/null; then
                echo "gpud did not start:" >&2
                cat "$directory/log" >&2
                rm -rf "$directory"
                trap - EXIT
                exit 1
        fi
        sleep 0.05
done
"$@"
