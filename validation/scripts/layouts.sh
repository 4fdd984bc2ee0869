#!/bin/sh
# validation/layouts --quick in both precisions as TAP, with a test for each layout.
if [ "$MPIEXEC" = no ]; then
    echo "1..0 # SKIP configure found no MPI launcher"
    exit 0
fi
for precision in fp32 bf16; do
    "${srcdir:-.}/validation/layouts" --quick --precision $precision | sed "s/^/$precision /"
done | awk '
    / (ok|FAILED)$/ {
        printf "%s %d - %s, %s ranks, DP %s x TP %s, EDP %s x EP %s x ETP %s, %s\n", $NF == "ok" ? "ok" : "not ok", ++n,
            $1, $2, $3, $4, $5, $6, $7, $8
    }
    { print "# " $0; passed += $2 == "layouts:" && $NF == "PASSED" }
    END {
        print (passed == 2 ? "ok " : "not ok ") ++n " - all layouts were run"
        print "1.." n
        exit passed != 2
    }'
