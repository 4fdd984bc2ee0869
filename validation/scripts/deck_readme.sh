#!/bin/sh
# input/README.md agrees with the table of keys, and the deck that `deck new` writes says what to fill in.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
readme=${srcdir:-.}/input/README.md

count=0
bad=0
# check WHAT COMMAND...
check() {
    what=$1
    shift
    count=$((count + 1))
    if "$@" > "$work/out" 2>&1; then
        echo "ok $count - $what"
    else
        bad=1
        echo "not ok $count - $what"
        head -n 20 "$work/out" | sed 's/^/# /'
    fi
}

echo 1..4
"$COPPICE" deck keys --markdown > "$work/README.md"
check "input/README.md is what coppice deck keys --markdown writes" diff -u "$readme" "$work/README.md"
"$COPPICE" deck new > "$work/new.yaml"
"$COPPICE" deck check "$work/new.yaml" > "$work/said" 2>&1
check "the deck of coppice deck new lacks a model and data, and nothing else" \
    test "$(grep -c '^[^ ]' "$work/said") $(grep -c -e ':5:9: model.like: .*path/to/model' -e ':10:10: data.train.0.path: .*path/to/tokens' "$work/said")" = "2 2"
"$COPPICE" deck show "$work/new.yaml" > "$work/shown.yaml"
check "what coppice deck show prints can be read again" "$COPPICE" deck show "$work/shown.yaml"
echo 'run: {stepz: 1}' > "$work/bad.yaml"
"$COPPICE" deck check "$work/new.yaml" "$work/bad.yaml" > "$work/bad.out" 2>&1
check "a bad deck is refused with code 64 and its place" test "$? $(grep -c 'bad.yaml:1:7: run.stepz' "$work/bad.out")" = "64 1"
exit $bad
