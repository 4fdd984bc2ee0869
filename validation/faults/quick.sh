#!/bin/sh
# validation/faults/run --quick as a test.
echo 1..1
cd "$builddir" || exit 99
if out=$(sh "$(cd "$srcdir" && pwd)/validation/faults/run" --quick 2>&1); then echo "ok 1 - $(echo "$out" | tail -n 1)"; else echo "not ok 1 - faults"; fi
echo "$out" | sed 's/^/# /'
