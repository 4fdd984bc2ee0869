#!/bin/sh
# validation/science/run --quick as TAP, with a test for each result that must hold exactly.
work=$(mktemp -d) || exit 73
trap 'rm -rf "$work"' EXIT
"${srcdir:-.}/validation/science/run" --quick --jobs 1 --work "$work" 2>&1 | awk '
    /^   (holds|FAILS|not run) / {
        printf "%s %d - %s\n", $1 == "holds" ? "ok" : "not ok", ++n, substr($0, 18)
    }
    { print "# " $0; verdict = $NF }
    END {
        print (verdict == "PASSED" ? "ok " : "not ok ") ++n " - the whole"
        print "1.." n
        exit verdict != "PASSED"
    }'
