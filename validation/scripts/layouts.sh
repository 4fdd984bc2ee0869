#!/bin/sh
# validation/layouts --quick as TAP: a test per layout.
if [ "$MPIEXEC" = no ]; then
    echo "1..0 # SKIP configure found no MPI launcher"
    exit 0
fi
"${srcdir:-.}/validation/layouts" --quick | awk '
    / (ok|FAILED)$/ {
        printf "%s %d - %s ranks, DP %s x TP %s, EDP %s x EP %s x ETP %s, %s\n", $NF == "ok" ? "ok" : "not ok", ++n,
            $1, $2, $3, $4, $5, $6, $7
    }
    { print "# " $0; verdict = $NF }
    END {
        print (verdict == "PASSED" ? "ok " : "not ok ") ++n " - all layouts were run"
        print "1.." n
        exit verdict != "PASSED"
    }'
