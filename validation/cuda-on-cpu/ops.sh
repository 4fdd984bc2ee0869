#!/bin/sh
# The ops of the CUDA device by the emulation: against double precision (t_ops, t_plain) and against the CPU device
# (t_devices), with streams as late as legal and at once, blocks and lanes in three orders; and once, with small
# shapes, every CUDA thread as a thread of ThreadSanitizer.
srcdir=${srcdir:-.}
. "$srcdir/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1

# runs PROGRAM STREAMS ORDER [OPTION]
runs() {
    program=$builddir/validation/cuda-on-cpu/$1
    [ -x "$program" ] || { verdict 0 "$1 # SKIP was not built: no C++ compiler, or one without ThreadSanitizer"; return; }
    CUDA_ON_CPU_STREAMS=$2 CUDA_ON_CPU_ORDER=$3 TSAN_OPTIONS=halt_on_error=1 \
        "$program" ${4:+"$4"} > "$work/all" 2>&1
    code=$?
    grep -vE '^ok ' "$work/all" > "$work/said"
    verdict $code "$1${4:+ $4}, streams $2, order $3: $(grep -c '^ok ' "$work/all") cases"
}
runs t_plain lazy 0
runs t_ops lazy 0
runs t_devices lazy 0
# Shapes and orders are independent: each kind of shape once, and the small ones in two orders more.
small=--small
[ "${CHECK_LEVEL:-}" != long ] || small=
runs t_devices eager 1 $small
runs t_devices lazy 7 $small
runs t_devices_race lazy 0 --small
finish
