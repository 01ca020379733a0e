#!/bin/bash
# All tests, stage by stage, then one line that adds them up: `N passed, N failed`. Called by `make check` from
# the root of the tree with MAKE and VENV in the environment. A stage that ran nothing has failed: a test that
# was not run must not look like one that passed. STAGES picks some of them; FUZZ_S is how many seconds each target
# fuzzes, all of them at once.
set -u

stages=${STAGES:-build lint unit stress python integration asan fuzz}
fuzz_s=${FUZZ_S:-60}
results=build/results
rm -rf $results
mkdir -p $results

passed=0
failed=0
skipped=0
began=$SECONDS

# tally NAME PASSED FAILED SKIPPED STATUS
tally() {
        local p=$2 f=$3 s=$4
        if [ "$5" != 0 ] && [ "$f" = 0 ]; then
                f=1 # it stopped before it could count
        elif [ $((p + f)) = 0 ]; then
                f=1
        fi
        passed=$((passed + p))
        failed=$((failed + f))
        skipped=$((skipped + s))
        echo "== $1: $p passed, $f failed, $s skipped ($((SECONDS - began)) s since the start)"
}

# stage_pytest NAME PYTEST-ARGUMENT...
stage_pytest() {
        local name=$1 xml=$results/$1.xml status
        shift
        PYTHONPATH=python-client/src "$VENV/bin/python" -m pytest -q -p no:cacheprovider --junitxml="$xml" "$@"
        status=$?
        # shellcheck disable=SC2046 # three numbers
        tally "$name" $("$VENV/bin/python" tests/junit.py "$xml") $status
}

# stage_unit NAME MODE [TEST_BINS=...]: programs of the unit tests, made and run; each prints check's closing line.
stage_unit() {
        local name=$1 mode=$2 p=0 f=0 status=0 log=$results/$1.log n_checks n_failures
        shift 2
        if $MAKE --no-print-directory -k unit MODE="$mode" WERROR=1 "$@" > "$log" 2>&1; then status=0; else status=1; fi
        while read -r n_checks n_failures; do
                p=$((p + n_checks - n_failures))
                f=$((f + n_failures))
        done < <(sed -nE 's/^[0-9]+%: Checks: ([0-9]+), Failures: ([0-9]+), Errors: ([0-9]+)$/\1 \2 \3/p' "$log" | awk '{ print $1, $2 + $3 }')
        [ $status = 0 ] || cat "$log"
        tally "$name" $p $f 0 $status
}

stage_build() {
        local status=0
        $MAKE --no-print-directory -j2 WERROR=1 STALE=fail all || status=1
        tally build $((1 - status)) $status 0 $status
        return $status
}

stage_lint() {
        local log=$results/lint.log status counts
        $MAKE --no-print-directory lint > "$log" 2>&1
        status=$?
        grep -v '^lint: ok' "$log"
        counts=$(sed -nE 's/^lint: ([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log")
        # shellcheck disable=SC2086 # two numbers
        tally lint ${counts:-0 0} 0 $status
}

# A million small ops on several queues, also under ThreadSanitizer: loop, waiter and workers meet there.
stage_stress() {
        export GPU_TEST_STRESS=500000 # in each of its two tests
        stage_unit stress release TEST_BINS=build/tests/unit/gpu/test-stress
        stage_unit stress-tsan tsan \
                TEST_BINS="build/tsan/tests/unit/gpu/test-stress build/tsan/tests/unit/test-executor"
        unset GPU_TEST_STRESS
}

# The same tests against a gpud built with AddressSanitizer and UndefinedBehaviorSanitizer.
stage_asan() {
        local status=0
        $MAKE --no-print-directory -j2 MODE=asan WERROR=1 all || status=1
        if [ $status != 0 ]; then
                tally asan-build 0 1 0 1
                return
        fi
        stage_unit unit-asan asan
        GPUD_BINARY=build/asan/gpud GPUCTL_BINARY=build/asan/gpuctl stage_pytest integration-asan tests/integration
}

stage_fuzz() {
        local p=0 f=0 status=0 target pid pids=
        $MAKE --no-print-directory -j2 fuzz-build || status=1
        for target in build/fuzz/tests/fuzz/fuzz-*; do
                if [ ! -x "$target" ] || [ ! -f "$target" ]; then continue; fi
                tests/fuzz/run.sh "$target" "$fuzz_s" &
                pids="$pids $!"
        done
        for pid in $pids; do
                if wait "$pid"; then p=$((p + 1)); else f=$((f + 1)); fi
        done
        tally fuzz $p $f 0 $status
}

for stage in $stages; do
        echo "== $stage"
        case $stage in
        build) stage_build || break ;;
        lint) stage_lint ;;
        unit) stage_unit unit release ;;
        stress) stage_stress ;;
        python) LD_LIBRARY_PATH=$PWD/build stage_pytest python python-client/tests ;;
        integration) stage_pytest integration tests/integration ;;
        asan) stage_asan ;;
        fuzz) stage_fuzz ;;
        *) echo "no stage $stage"; tally "$stage" 0 1 0 1 ;;
        esac
done

echo "$passed passed, $failed failed$([ $skipped = 0 ] || echo ", $skipped skipped")"
[ $failed = 0 ]
