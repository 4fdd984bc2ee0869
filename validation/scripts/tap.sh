# Sourced by the scripts here: TAP lines, a working folder, tiny models on tiny tokens.
src=${srcdir:-.}
top=$(cd "$src" && pwd)
. "$top/validation/launch.sh"
unset COPPICE_SITE # tests belong to no site
work=$(mktemp -d) || exit 73
trap 'rm -rf "$work"' EXIT
count=0
bad=0

# verdict GOOD WHAT: 0 is good; what was said last follows a failure
verdict() {
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        bad=1
        echo "not ok $count - $2"
        [ ! -e "$work/said" ] || sed 's/^/# /' "$work/said" | tail -n 20
    fi
}

# test_ranks RANKS TESTS: can they run? If not, that many tests are skipped.
test_ranks() {
    [ "$1" -gt 1 ] && [ "$MPIEXEC" = no ] || return 0
    for skipped in $(seq "$2"); do verdict 0 "# SKIP configure found no MPI launcher"; done
    return 1
}

# finish: the plan and the exit code
finish() {
    echo "1..$count"
    exit $bad
}

# ends CODE COMMAND...: does it end with this exit code? What it says is in $work/said.
ends() {
    wanted=$1
    shift
    "$@" > "$work/said" 2>&1
    got=$?
    [ "$got" -eq "$wanted" ] || { echo "exit code $got, not $wanted" >> "$work/said"; return 1; }
}

# whole FILE: its lines, those of an error or a warning that was wrapped put together again
whole() {
    awk 'message && /^          [^ ]/ { line = line " " substr($0, 11); next }
         NR > 1 { print line }
         { line = $0; message = /^(coppice: |warning )/ || /^[^ ]*:[0-9]+:[0-9]+: / }
         END { if (NR) print line }' "$1"
}

said() {
    grep -q -e "$1" "$work/said" || whole "$work/said" | grep -q -e "$1" ||
        { echo "nobody said: $1" >> "$work/said"; return 1; }
}

# narrow FILE: no line is wider than 120 columns, but where it ends with a long path
narrow() {
    awk -v FS='\n' 'length > 120 && !/^ *(run|from|next|newest) / && !/^ *[^ ]*$/ { print "wide: " $0; wide = 1 }
                    END { exit wide }' "$1" > "$work/wide" || { cat "$work/wide" >> "$work/said"; return 1; }
}

# shim FILE.c: a library to preload, $shim; false if nothing can be preloaded here
shim() {
    shim=$work/$(basename "$1" .c).so
    for compiler in ${CC:-} cc gcc mpicc; do
        ${compiler} -shared -fPIC -O1 -o "$shim" "$src/$1" 2> /dev/null && break
    done
    [ -e "$shim" ] && LD_PRELOAD="$shim" "$COPPICE" --version > /dev/null 2>&1
}

# tokens PREFIX: 4096 lower-case letters as one document of bytes
tokens() {
    awk 'BEGIN { for (i = x = 1; i <= 4096; i++) { x = x * 75 % 65537; printf "%c", 97 + x % 26 } }' \
        > "$1.bin"
    { # header, type 1 = uint8, 1 sequence, 2 entries in the list of documents; its length, place, documents
        printf 'MMIDIDX\0\0\1\0\0\0\0\0\0\0\1\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0'
        printf '\0\20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0'
    } > "$1.idx"
}

# tiny MOE TOKENS: a deck of a model from random weights
tiny() {
    echo "start: random"
    echo "model: {hidden: 32, ffn: 48, layers: 2, heads: 4, kv_heads: 2, vocab: 128, tied: true,"
    echo "        max_positions: 64, moe: {$1}}"
    echo "data: {sequence: 16, train: [$2], split: [0.9, 0.1]}"
    echo "batch: {sequences: 8, micro: 2}"
    echo "optimizer: {lr: 0.01, horizon: 1000, warmup: 3}"
    echo "eval: {every: 4, tokens: 64}"
}
