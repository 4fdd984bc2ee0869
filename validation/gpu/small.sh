#!/bin/sh
# validation/gpu/run itself, by the emulation and with small sizes: its steps, its time limit, its report.
. "${srcdir:-.}/validation/scripts/tap.sh"
build=${builddir:-$top/build}
[ -x "$build/validation/cuda-on-cpu/coppice" ] || { echo "1..0 # SKIP no C++ compiler: there is no emulation"; exit 0; }
[ "$MPIEXEC" != no ] || { echo "1..0 # SKIP configure found no MPI launcher"; exit 0; }
ends 0 "$top/validation/gpu/run" --emulated "$build" --out "$work/report" --seconds 3000
cp "$work/report/report.txt" "$work/said"
verdict $? "all steps, by the emulation"
for name in ops curve bench staging-2; do
    grep -q "^ok  *$name (" "$work/said"
    verdict $? "$name"
done
grep -q '^skipped *card' "$work/said" && grep -q '^by the emulation' "$work/said" && grep -qE ' 0 failed, ' "$work/said"
verdict $? "what cannot be shown here is said"
ends 0 "$top/validation/gpu/run" --emulated "$build" --out "$work/late" --seconds 1
cp "$work/late/report.txt" "$work/said"
[ "$(grep -c '^left out' "$work/said")" -ge 4 ] && ! grep -q '^ok' "$work/said"
verdict $? "no step begins that would not end in time"
finish
