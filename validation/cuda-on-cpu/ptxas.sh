#!/bin/sh
# What the kernels of the CUDA device take of a multiprocessor, by ptxas for sm_80 and sm_90: registers and bytes of
# shared memory as validation/cuda-on-cpu/ptxas.txt has them, no stack, no spills, no warnings. Another nvcc than
# that of the table may use other registers: then only stack and spills are looked at. Skipped without nvcc.
#   ptxas.sh            TAP
#   ptxas.sh --write    writes the table
srcdir=${srcdir:-.}
here=$srcdir/validation/cuda-on-cpu
work=$(mktemp -d) || exit 73
trap 'rm -rf "$work"' EXIT
nvcc=$(command -v "${NVCC:-nvcc}" || command -v /usr/local/cuda/bin/nvcc) || { echo "1..0 # SKIP no nvcc"; exit 0; }
version=$("$nvcc" --version | sed -n 's/.*, V//p')

# table: a line a kernel and card, by file
table() {
    for file in "$srcdir"/src/device/cuda/*.cu; do
        "$nvcc" -std=c++17 -O3 -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 \
            -Xptxas -v -Xcompiler -Wall,-Wextra -I"$srcdir/src" -c -o "$work/kernel.o" "$file" > "$work/log" 2>&1 ||
            { cat "$work/log" >&2; return 1; }
        grep -E 'warning|error' "$work/log" >&2 && return 1
        sed "s/'//g" "$work/log" | c++filt | awk -v file="$(basename "$file")" '
            /Compiling entry function/ {
                card = $NF; kernel = $0; sub(/.*function /, "", kernel); sub(/ for sm_.*/, "", kernel)
                sub(/^void /, "", kernel); gsub(/, /, ",", kernel)
                sub(/\(.*$/, "", kernel)
            }
            /bytes stack frame/ { stack = $1; spill = $5 + $9 }
            /Used [0-9]+ registers/ {
                shared = 0
                for (i = 1; i < NF; i++) {
                    if ($(i + 1) == "registers,") registers = $i
                    if ($i == "bytes" && $(i + 1) ~ /^smem/) shared = $(i - 1)
                }
                printf "%-18s %-36s %s %4d %6d %5d %5d\n", file, kernel, card, registers, shared, stack, spill
            }' | sort
    done
}

if ! table > "$work/table"; then
    echo "not ok 1 - nvcc takes all kernels without a warning"
    echo 1..1
    exit 1
fi
{
    echo "# nvcc $version -O3: file, kernel, card, registers, bytes of shared memory, of stack, of spills"
    cat "$work/table"
} > "$work/new"
if [ "${1:-}" = --write ]; then
    cp "$work/new" "$here/ptxas.txt"
    exit
fi
bad=0
echo "ok 1 - nvcc $version takes all kernels without a warning: $(wc -l < "$work/table") kernels on two cards"
if awk '$6 + $7 > 0 { print "# " $0; bad = 1 } END { exit bad }' "$work/table"; then
    echo "ok 2 - no stack, no spills"
else
    echo "not ok 2 - no stack, no spills"
    bad=1
fi
if [ "$(head -n 1 "$work/new")" != "$(head -n 1 "$here/ptxas.txt")" ]; then
    echo "ok 3 - registers and shared memory as recorded # SKIP the table is of another nvcc"
elif diff "$here/ptxas.txt" "$work/new" > "$work/diff"; then
    echo "ok 3 - registers and shared memory as recorded"
else
    echo "not ok 3 - registers and shared memory as recorded; ptxas.sh --write if that is meant"
    sed 's/^/# /' "$work/diff" | head -n 40
    bad=1
fi
echo 1..3
exit $bad
