#!/bin/sh
# Every check that needs no running gpud. `make lint` calls it, from the root of the tree, with what is built in
# the environment: SOURCES (every .c of the Makefile's lists), CPPFLAGS, WARNINGS, VENV, GENERATED (files that are
# printed by programs). Prints one line per check, what is wrong below it, and last `lint: N passed, N failed`.
#
# The verdict must not hang on how new a tool is. What lays out code or judges Python is pinned in
# tests/requirements.txt: clang-format, ruff, mypy. The system's own were tried as Debian 12 and 13 have them: gcc 12
# and 14, clang 14 and 19, cppcheck 2.10 and 2.17, shellcheck 0.9 and 0.10. Of gcc and clang the warnings count that
# the Makefile names; of cppcheck errors, warnings and portability; of shellcheck errors, warnings and what
# `shell` names. What any of them merely remarks, each release in words of its own, passes.
set -u

passed=0
failed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# check NAME COMMAND...: passes if COMMAND succeeds; what it printed is shown if not.
check() {
        name=$1
        shift
        if "$@" > "$out" 2>&1; then
                passed=$((passed + 1))
                echo "lint: ok      $name"
        else
                failed=$((failed + 1))
                echo "lint: FAILED  $name"
                sed 's/^/        /' "$out" | head -n 60
        fi
}

files() {
        find proto daemon client tests -type f \( "$@" \) | sort
}

# Without those that a program prints.
written() {
        grep -vxF "$(echo "$GENERATED" | tr ' ' '\n')"
}

c_files() {
        files -name '*.c' -o -name '*.h' -o -name '*.def'
}

layers() {
        # shellcheck disable=SC2046 # names without blanks
        awk -f tests/lint/layers.awk tests/lint/layers.txt $(c_files)
}

# A .c that no target of the Makefile names would never be compiled.
listed() {
        r=0
        for f in $(files -name '*.c' -o -name '*.comp'); do
                case " $SOURCES " in
                *" $f "*) ;;
                *) echo "$f is in no list of the Makefile"; r=1 ;;
                esac
        done
        return $r
}

format() {
        # The .def files are tables with columns of their own.
        # shellcheck disable=SC2046
        "$VENV/bin/clang-format" --dry-run --Werror $(files -name '*.c' -o -name '*.h' | written)
}

# clang-format breaks code, but no comment. A line of a table of .def has columns of its own.
width() {
        # shellcheck disable=SC2046
        awk 'length > 110 { print FILENAME ":" FNR ": " length " columns, the ceiling is 110"; bad = 1 } END { exit bad }' \
                $(files -name '*.c' -o -name '*.h' | written)
}

# gpud.h's names are everybody's, and stay.
verbs() {
        # shellcheck disable=SC2046
        awk -f tests/lint/verbs.awk tests/lint/verbs.txt \
                $(find daemon client proto -name '*.h' ! -name gpud.h | sort | written)
}

constructors() {
        # shellcheck disable=SC2046
        awk -f tests/lint/constructors.awk $(find daemon client -name '*.c' | sort)
}

# No file grows without end, and nothing is left for later.
style() {
        r=0
        # shellcheck disable=SC2046
        wc -l $({ c_files; find python-client tests -name '*.py'; } | written) |
                awk '$2 != "total" && $1 > 700 { print $2 ": " $1 " lines, the ceiling is 700"; bad = 1 } END { exit bad }' || r=1
        # shellcheck disable=SC2046
        if grep -nE '\b(TODO|FIXME|XXX|HACK)\b|#if 0' $(c_files) $(find python-client tests -name '*.py'); then
                r=1
        fi
        # shellcheck disable=SC2046
        if grep -nE '(^ *|; )(\+\+|--)[a-z_]+[a-z_.>-]*[;)]' $(c_files); then
                echo "increments stand behind: i++"
                r=1
        fi
        return $r
}

# Each header says itself what it needs. Those of proto/ that are views of the tables are parts, not headers.
headers() {
        r=0
        for f in $(files -name '*.h'); do
                case $f in
                proto/rows.h | proto/view.h | proto/structs.h | proto/fields.h) continue ;;
                esac
                # shellcheck disable=SC2086
                gcc -std=c17 $CPPFLAGS $WARNINGS -Werror -fsyntax-only -x c -include "$f" /dev/null || r=1
        done
        return $r
}

# gpud.h is everybody's: strict C11, and C++.
public_header() {
        gcc -std=c11 -pedantic -Wall -Wextra -Werror -fsyntax-only -I. -x c -include client/gpud.h /dev/null &&
                clang -std=c++11 -pedantic -Wall -Wextra -Werror -fsyntax-only -I. -x c++ -include client/gpud.h /dev/null
}

clang_warnings() {
        $MAKE --no-print-directory -k -j2 objects OBJ=build/clang CC=clang WERROR=1 \
                CFLAGS=-fsyntax-only > "$out.make" 2>&1
        r=$?
        grep -v '^  CC ' "$out.make"
        rm -f "$out.make"
        return $r
}

# cppcheck says how much it looked at whether asked or not, and would fail for that: so it is told by what it prints.
static_analysis() {
        cppcheck --quiet -j 2 --std=c11 --enable=warning,portability --inline-suppr \
                --suppressions-list=tests/lint/cppcheck.txt -D_GNU_SOURCE -I. -Ibuild/gen \
                --template='{severity}: {file}:{line}: {id}: {message}' proto daemon client > "$out.cppcheck" 2>&1
        r=$?
        grep -v '^information: ' "$out.cppcheck" && r=1
        rm -f "$out.cppcheck"
        return $r
}

# SC2046, SC2086: words that are split for want of quotes.
shell() {
        scripts=".ci/run $(files -name '*.sh')"
        # shellcheck disable=SC2086
        shellcheck --severity=warning $scripts && shellcheck --include=SC2046,SC2086 $scripts
}

python_types() {
        (cd python-client && "$VENV/bin/mypy" --strict --python-executable "$VENV/bin/python" --cache-dir ../build/mypy src)
}

# The version stands in proto/version.h and, for those who install the package alone, in the package.
version() {
        file=python-client/src/gpud/__init__.py
        grep -qx "__version__ = \"$VERSION\"" $file || { echo "$file does not say __version__ = \"$VERSION\""; return 1; }
}

check "layers: includes point one way" layers
check "every source is in a list of the Makefile" listed
check "clang-format" format
check "no line over 110 columns" width
check "a function says what it does by a verb of verbs.txt" verbs
check "constructors undo nothing by hand" constructors
check "style: no file over 700 lines, nothing left for later" style
check "headers stand alone" headers
check "gpud.h is strict C11 and C++11" public_header
check "clang warns of nothing" clang_warnings
check "cppcheck" static_analysis
check "shellcheck" shell
check "ruff check" "$VENV/bin/ruff" check --no-cache python-client tests
check "ruff format" "$VENV/bin/ruff" format --no-cache --check python-client tests
check "mypy --strict" python_types
check "one version" version
check "fuzz corpus is what seed.py writes" "$VENV/bin/python" tests/fuzz/seed.py --check

echo "lint: $passed passed, $failed failed"
[ "$failed" = 0 ]
