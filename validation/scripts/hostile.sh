#!/bin/sh
# The program on hostile files: every bad input of the fuzz corpus, paths that are not a file, and files of another kind. It
# must refuse within seconds, with an exit code for input (64 deck, 65 data, 76 checkpoint) and a line that names the file and
# the reason. It must not crash. Good inputs must pass.
src=${srcdir:-.}
top=$(cd "$src" && pwd)
. "$top/validation/launch.sh"
corpus=$top/validation/fuzz/corpus
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0
bad=0

# expect CODE NAME WHAT COMMAND...: NAME stands in the message
expect() {
    wanted=$1 name=$2 what=$3
    shift 3
    count=$((count + 1))
    timeout 20 "$COPPICE" "$@" > "$work/out" 2> "$work/said" < /dev/null
    code=$?
    if [ "$code" -eq "$wanted" ] && { [ "$code" -eq 0 ] || grep -F -e "$name" "$work/said" > "$work/named"; } &&
        ! grep -E 'bug:|Sanitizer|runtime error' "$work/said" > /dev/null &&
        ! grep -E '^.{121}' "$work/said" > "$work/wide"; then
        echo "ok $count - $what: $code"
    else
        bad=1
        echo "not ok $count - $what: $code, expected $wanted and a message about $name"
        head -n 5 "$work/said" | sed 's/^/# /'
    fi
}

model() { # a model directory of a good config and no weights
    rm -rf "$work/m"
    mkdir "$work/m"
    cp "$corpus/config/good-dense-bias-llama3.json" "$work/m/config.json"
}

for f in "$corpus"/deck/*; do
    case $f in
    */good-*) expect 0 "$(basename "$f")" "deck $(basename "$f")" deck show "$f" ;; # what it names is not there
    *) expect 64 "$(basename "$f")" "deck $(basename "$f")" deck check "$f" ;;
    esac
done
for f in "$corpus"/config/bad-*; do
    model
    cp "$f" "$work/m/config.json"
    expect 65 m/config.json "config $(basename "$f")" inspect "$work/m"
done
for f in "$corpus"/safetensors/bad-*; do
    model
    cp "$f" "$work/m/model.safetensors"
    expect 65 m/model.safetensors "safetensors $(basename "$f")" inspect "$work/m"
done

# things that are no file
expect 64 m.yaml "no deck" deck check "$work/m.yaml"
expect 64 "$work" "a folder as a deck" deck check "$work"
expect 64 /dev/zero "a deck without end" deck check /dev/zero
model
rm "$work/m/config.json"
mkfifo "$work/m/config.json"
expect 65 m/config.json "a pipe as config.json" inspect "$work/m"
model
mkfifo "$work/m/model.safetensors"
expect 65 m/model.safetensors "a pipe as model.safetensors" inspect "$work/m"
model
mkdir "$work/m/model.safetensors"
expect 65 m/model.safetensors "a folder as model.safetensors" inspect "$work/m"
model
echo '{"weight_map": {"a": "../../../etc/passwd"}}' > "$work/m/model.safetensors.index.json"
expect 65 plain "a shard outside the folder" inspect "$work/m"

# things that are another file
mkdir "$work/c"
for f in "$corpus/safetensors/good-types" "$corpus/deck/good-demo.yaml" /dev/null; do
    cp "$f" "$work/c/index.h5"
    expect 76 c/index.h5 "$(basename "$f") as index.h5" inspect "$work/c"
done
rm "$work/c/index.h5"
mkfifo "$work/c/index.h5"
expect 76 c/index.h5 "a pipe as index.h5" inspect "$work/c"

# lines of the command
expect 64 'no command' "an unknown command" trian x
expect 64 model.layers "--set of nonsense" deck check "$corpus/deck/good-demo.yaml" --set model.layers=1e99
expect 64 run.stepz "--set of an unknown key" deck check "$corpus/deck/good-demo.yaml" --set run.stepz=1
echo "1..$count"
exit $bad
