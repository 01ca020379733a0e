# awk -f verbs.awk verbs.txt HEADER...
# Prints each declared function whose name has no word of verbs.txt; exits 1 if there was one.

FILENAME == ARGV[1] {
        if ($1 !~ /^#/ && NF > 0)
                is_verb[$1] = 1
        next
}

# A declaration or definition begins in the first column, with its type.
/^[A-Za-z_][A-Za-z0-9_ ]*[ *]+\**[a-z][a-z0-9_]*\(/ && !/^(typedef|return|else|#)/ {
        name = $0
        sub(/\(.*/, "", name)
        sub(/.*[ *]/, "", name)
        n = split(name, words, "_")
        for (i = 1; i <= n; i++)
                if (words[i] in is_verb)
                        next
        # For _cleanup_: freep(), fd_closep().
        if (name ~ /p$/ && substr(words[n], 1, length(words[n]) - 1) in is_verb)
                next
        printf "%s:%d: %s() has no verb of tests/lint/verbs.txt\n", FILENAME, FNR, name
        n_bad++
}

END {
        exit n_bad > 0
}
