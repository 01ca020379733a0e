# awk -f constructors.awk FILE...
# Prints each call by which a constructor gives something back; exits 1 if there was one.
#
# A constructor is a function with new, init, open, listen or enter as a word of its name: mem_new(), daemon_init_gpu().
# When it fails, _cleanup_ gives back what it has made so far, or the owner of the structure that it was to fill in
# does. A constructor that gives back by hand has to do so on each of its ways out, and forgets it on one.

# The line without its comments and strings.
function strip(line) {
        if (is_comment && !sub(/^.*\*\//, "", line))
                return ""
        gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, " ", line)
        gsub(/\\./, "", line)
        gsub(/"[^"]*"|'[^']*'/, "0", line)
        is_comment = sub(/\/\*.*/, "", line)
        return line
}

FNR == 1 {
        is_comment = 0
        name = ""
}

{
        code = strip($0)
}

/^}/ {
        name = ""
}

# A definition begins in the first column. So does nothing else that has a parenthesis and no semicolon.
code ~ /^[A-Za-z_].*\(/ && code !~ /;/ {
        name = code
        sub(/\(.*/, "", name)
        sub(/.*[ *]/, "", name)
        is_constructor = name ~ /(^|_)(new|init|open|listen|enter)(_|$)/
        next
}

name != "" && is_constructor {
        while (match(code, /[A-Za-z_][A-Za-z_0-9]*\(/)) {
                call = substr(code, RSTART, RLENGTH - 1)
                code = substr(code, RSTART + RLENGTH)
                if (call !~ /(^|_)(free|close|deinit|destroy|discard|release|end|munmap)(_|$)|^unlink$|^vk(Destroy|Free)/)
                        continue
                printf "%s:%d: %s() undoes by hand, with %s()\n", FILENAME, FNR, name, call
                n_bad++
        }
}

END {
        exit n_bad > 0
}
