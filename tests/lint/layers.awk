# awk -f layers.awk layers.txt FILE...
# Prints each #include that layers.txt does not allow; exits 1 if there was one.

function folder_of(path) {
        return match(path, /\/[^\/]*$/) ? substr(path, 1, RSTART - 1) : "."
}

# The longest folder of layers.txt that the file lies in.
function layer_of(path,         folder) {
        for (folder = folder_of(path); folder != "."; folder = folder_of(folder))
                if (folder in may)
                        return folder
        return ""
}

function is_outside(header,     i) {
        for (i in outside)
                if (header == outside[i] || (outside[i] ~ /\/$/ && index(header, outside[i]) == 1))
                        return outside[i]
        return ""
}

function complain(text) {
        printf "%s:%d: %s\n", FILENAME, FNR, text
        n_bad++
}

FILENAME == ARGV[1] {
        sub(/#.*/, "")
        if (NF == 0)
                next
        if ($1 == "outside") {
                for (i = 2; i <= NF; i++)
                        outside[i] = substr($i, 2, length($i) - 2)
                next
        }
        may[$1] = " "
        for (i = 2; i <= NF; i++)
                may[$1] = may[$1] $i " "
        next
}

FNR == 1 {
        layer = layer_of(FILENAME)
        if (layer == "")
                complain("lies in a folder that layers.txt does not know")
}

layer != "" && /^[ \t]*#[ \t]*include[ \t]*"/ {
        header = $0
        gsub(/^[^"]*"|".*$/, "", header)
        if (header ~ /\.spv\.h$/)
                next
        stem = header
        sub(/\.(h|def)$/, "", stem)
        if (index(header, "/") == 0 && FILENAME == "client/gpud.h")
                next # it is installed, and then lies beside what it includes
        if (index(header, "/") == 0)
                complain("\"" header "\" is not written from the root")
        else if (!index(may[layer], " " folder_of(header) " ") && !index(may[layer], " " stem " "))
                complain(layer " may not include \"" header "\"")
}

layer != "" && /^[ \t]*#[ \t]*include[ \t]*</ {
        header = $0
        gsub(/^[^<]*<|>.*$/, "", header)
        library = is_outside(header)
        if (library != "" && !index(may[layer], " <" library "> "))
                complain(layer " may not include <" header ">")
}

END {
        exit n_bad > 0
}
