#!/bin/sh
# The order of rooms: a room includes only itself and the rooms above it, and only the files that wrap MPI, HDF5, jansson and
# CUDA include their headers.
src=${srcdir:-.}/src
[ -e "$src/base/status.h" ] || { echo "Bail out! no sources in $src"; exit 1; }
order="base layout deck device comm format text model weights data eval ckpt start train plan report cmd"

# wrong_rooms SRC: includes of a room that stands below, of no room, or without a room
wrong_rooms() {
    (cd "$1" && grep -rn --include='*.[ch]' '^#[[:blank:]]*include[[:blank:]]*"' .) |
        awk -v order="$order" '
        BEGIN { n = split(order, name, " "); for (i = 1; i <= n; i++) rank[name[i]] = i }
        {
            split($0, part, ":"); split(part[1], dir, "/"); split($0, quoted, "\""); split(quoted[2], target, "/")
            if (quoted[2] == "config.h") next
            if (!(dir[2] in rank)) print $0 "  (a room that the order does not know)"
            else if (!(target[1] in rank)) print $0 "  (no room in the name)"
            else if (rank[target[1]] > rank[dir[2]]) print $0 "  (a room below)"
        }'
}

# wrong_place SRC HEADER ALLOWED: files that include HEADER (a pattern) though not named by ALLOWED
wrong_place() {
    (cd "$1" && grep -rnE --include='*.[ch]' "^#[[:blank:]]*include[[:blank:]]*[<\"]($2)[>\"]" . |
        grep -vE "^\./($3):")
}

count=0
bad=0
# report ok|"not ok" WHAT; expect_none and expect_some WHAT OFFENDERS
report() {
    count=$((count + 1))
    [ "$1" = ok ] || bad=1
    echo "$1 $count - $2"
}
expect_none() {
    [ -z "$2" ] && report ok "$1" || { report "not ok" "$1"; echo "$2" | sed 's/^/# /'; }
}
expect_some() {
    [ -n "$2" ] && report ok "$1" || report "not ok" "$1"
}

# raw_calls SRC: calls on named files that base/io has a function for, made elsewhere
raw_calls() {
    names='open|creat|stat|lstat|access|opendir|scandir|rename|link|mkdir|unlink|unlinkat|rmdir|fsync|pread|pwrite'
    (cd "$1" && grep -rnE --include='*.[ch]' "(^|[^A-Za-z0-9_>.])($names)\(" . |
        grep -vE '^\./base/io\.[ch]:|:[[:blank:]]*(\*|//)|/\*.*('"$names"')\(' | grep -vE '"[^"]*('"$names"')\(')
}

echo 1..12
expect_none "every include follows the order of rooms" "$(wrong_rooms "$src")"
while read -r header allowed; do
    expect_none "$header only in ${allowed:-no file of src}" \
        "$(wrong_place "$src" "$header" "${allowed:-none}")"
done <<'TABLE'
mpi\.h comm/mpi\.c
hdf5.*\.h format/h5(_read)?\.c
yaml\.h deck/(plain\.c|events\.h)
jansson\.h base/json\.h
(pcre2|utf8proc)\.h text/[a-z_0-9]*\.c
nccl\.h comm/nccl(_library)?\.c
(cuda|cublas|cudnn).*\.h device/cuda/[a-z_]*\.(h|c|cu|cuh)
TABLE

expect_none "files are opened, moved and removed by base/io alone" "$(raw_calls "$src")"

# The test itself: offences that it must see.
bait=$(mktemp -d)
trap 'rm -rf "$bait"' EXIT
mkdir -p "$bait/base"
printf '#include "train/step.h"\n' > "$bait/base/a.c"
printf '  #include <stdio.h>\n#include <mpi.h>\n' > "$bait/base/b.c"
expect_some "a planted include of a room below is seen" "$(wrong_rooms "$bait")"
expect_some "a planted mpi.h is seen" "$(wrong_place "$bait" 'mpi\.h' 'comm/mpi\.c')"
printf '    DIR *d = opendir(path);\n' > "$bait/base/c.c"
expect_some "a planted opendir is seen" "$(raw_calls "$bait")"
exit $bad
