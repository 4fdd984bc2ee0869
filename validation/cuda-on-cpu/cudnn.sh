#!/bin/sh
# The graphs of attention, without a GPU: a stand-in evaluates them (t_sdpa), and the installed cuDNN is asked for
# plans for an H100 (t_sdpa_cudnn), by the toolkit's stub of the driver. Four wrong graphs must be refused by one
# of the two. Skipped without cuDNN's header; what asks cuDNN itself, without its library or the stub.
srcdir=${srcdir:-.}
. "$srcdir/validation/scripts/tap.sh"
here=$top/validation/cuda-on-cpu
nvcc=$(command -v "${NVCC:-nvcc}" || command -v /usr/local/cuda/bin/nvcc)
toolkit=${CUDA_HOME:-$(dirname "$(dirname "${nvcc:-/usr/local/cuda/bin/nvcc}")")}
cxx=$(command -v g++ || command -v c++)
cc=$(command -v gcc || command -v cc)
[ -n "$cxx" ] && [ -n "$cc" ] || { echo "1..0 # SKIP no C++ compiler"; exit 0; }
flags="-g -O1 -I$top/src -I$top/validation -I$toolkit/include"
# shellcheck disable=SC2086
echo '#include <cudnn.h>' | $cc $flags -fsyntax-only -x c - 2> /dev/null ||
    { echo "1..0 # SKIP no cudnn.h"; exit 0; }

# build GRAPH: both tests with this source of the graphs
build() {
    # shellcheck disable=SC2086
    $cc $flags -std=gnu11 -c "$1" -o "$work/graph.o" && $cxx $flags -std=gnu++17 -o "$work/t_sdpa" \
        "$here/t_sdpa.cc" "$work/graph.o" "$work/rng.o" && $cc $flags -std=gnu11 -o "$work/t_sdpa_cudnn" \
        "$here/t_sdpa_cudnn.c" "$top/src/device/cuda/cudnn.c" "$top/src/base/library.c" "$work/graph.o" -ldl -lm
}

# asked: what cuDNN says of the graphs; the stub stands for the driver in this one process
asked() {
    LD_LIBRARY_PATH="$work:$toolkit/lib64:$toolkit/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
        "$work/t_sdpa_cudnn" "$here/h100.json" "$@"
}

stub=
for folder in lib64/stubs lib/stubs; do
    [ ! -e "$toolkit/$folder/libcuda.so" ] || stub=$toolkit/$folder/libcuda.so
done
[ -z "$stub" ] || ln -s "$stub" "$work/libcuda.so.1"
# shellcheck disable=SC2086
$cc $flags -std=gnu11 -c "$top/src/base/rng.c" -o "$work/rng.o"

build "$top/src/device/cuda/sdpa_graph.c" > "$work/said" 2>&1 && "$work/t_sdpa" > "$work/said" 2>&1
verdict $? "the graphs evaluated by a stand-in are attention, forward and backward"
if [ -n "$stub" ] && asked > "$work/said" 2>&1 && ! grep -q '^1..0' "$work/said"; then
    verdict 0 "cuDNN has plans for them on an H100: $(grep -c 'taken$' "$work/said") graphs"
elif [ -z "$stub" ] || grep -q '^1..0' "$work/said"; then
    stub=
    verdict 0 "cuDNN has plans for them # SKIP no cuDNN, or no stub of the driver"
else
    verdict 1 "cuDNN has plans for them on an H100"
fi

# wrong NAME SED [ask]: cuDNN, which takes seconds, is asked only then
wrong() {
    sed "$2" "$top/src/device/cuda/sdpa_graph.c" > "$work/wrong.c"
    by=
    if cmp -s "$top/src/device/cuda/sdpa_graph.c" "$work/wrong.c" || ! build "$work/wrong.c" > "$work/said" 2>&1; then
        verdict 1 "wrong graph: $1: cannot be made"
        return
    fi
    "$work/t_sdpa" > "$work/said" 2>&1 || by="the stand-in"
    [ -z "$stub" ] || [ $# -lt 3 ] || asked --one > "$work/said" 2>&1 || by="$by${by:+ and }cuDNN"
    [ -n "$by" ]
    verdict $? "wrong graph: $1: refused by ${by:-nobody}"
}
wrong "the mask sees the future" 's/CUDNN_POINTWISE_CMP_GE, query, key/CUDNN_POINTWISE_CMP_GE, key, query/'
wrong "rows see keys before their first" 's/CUDNN_POINTWISE_LOGICAL_AND, seen, late/CUDNN_POINTWISE_LOGICAL_AND, seen, seen/'
wrong "p is not transposed" 's/desc xt = inner(g, flipped(square(a)), BF16_TYPE)/desc xt = inner(g, square(a), BF16_TYPE)/'
wrong "the least instead of the largest score" 's/CUDNN_REDUCE_TENSOR_MAX, masked/CUDNN_REDUCE_TENSOR_MIN, masked/' ask
finish
