#!/bin/sh
# Some code reads every key of a deck: the field that its row in src/deck/keys.c fills is used in a file of src/ other than the
# deck's table and structs.
src=${srcdir:-.}
fields=$(sed -n 's/.*AT(\([a-z_0-9.]*\)).*/\1/p' "$src/src/deck/keys.c" | sort -u)
count=0 bad=0
# used FIELD: its last part, as a member
used() {
    grep -rqE "(->|\.)${1##*.}\b" "$src/src" --include='*.c' --exclude=keys.c
}
for field in $fields; do
    used "$field" || { bad=1; echo "# nobody reads $field"; }
    count=$((count + 1))
done
[ $count -gt 40 ] && [ $bad = 0 ]
[ $? -eq 0 ] && echo "ok 1 - each of $count keys is read" || { bad=1; echo "not ok 1 - each of $count keys is read"; }
used nobody.reads_this && { bad=1; echo "not ok 2 - a planted key is seen"; } || echo "ok 2 - a planted key is seen"
echo 1..2
exit $bad
