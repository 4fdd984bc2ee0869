#!/bin/sh
# Bits that flip in the files of a checkpoint: none is silent (flips.c), and a run whose newest checkpoint has one says which
# file and tensor it is, falls back to the one before, and ends with the weights of the undisturbed run. A bit that flips on
# its way to the disk, unseen by the program, is found before the older checkpoint goes.
#   FLIPS=30000 RUNS=50 SEED=1 validation/faults/flips.sh
. "${srcdir:-.}/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1
FLIPS=${FLIPS:-400} RUNS=${RUNS:-2} SEED=${SEED:-1}
tokens "$work/t"
{ tiny "experts: 4, top_k: 2" "$work/t"; echo "checkpoint: {every: 1, keep: 2}"; } |
    sed 's/^eval: .*/eval: {every: never, tokens: 64}/' > "$work/deck.yaml"

train() { # train FOLDER STEPS ARGUMENTS...
    folder=$work/$1 steps=$2
    shift 2
    "$COPPICE" train "$work/deck.yaml" --set "run.dir=$folder" --set run.steps="$steps" "$@"
}
hashes() { "$COPPICE" inspect "$1" | grep '^hashes'; }

ends 0 train base 4 && cp -r "$work/base" "$work/run" && ends 0 train run 5 && whole=$(hashes "$work/run")
verdict $? "steps 3 and 4 are saved, and 5 in a copy"

# ---- at rest ----
cp -r "$work/base/ckpt/step_00000004" "$work/flipped"
"$builddir/validation/faults/flips" "$work/flipped" "$FLIPS" "$SEED" > "$work/said" 2>&1
verdict $? "$(tail -n 1 "$work/said")"

draw() { # draw N: a number from 0 to N-1, of a sequence that SEED begins
    SEED=$(((SEED * 1103515245 + 12345) % 2147483648))
    drawn=$((SEED / 8 % $1))
}
flip() { # flip FILE BIT
    byte=$(od -An -tu1 -j $(($2 / 8)) -N 1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059
    printf "\\$(printf '%o' $((byte ^ (1 << $2 % 8))))" | dd of="$1" bs=1 seek=$(($2 / 8)) conv=notrunc 2> /dev/null
}
# judged FILE: after a run to step 5; sets `outcome`
judged() {
    outcome=wrong
    [ "$got" -eq 0 ] && [ "$(hashes "$work/run")" = "$whole" ] || return
    if grep -q '^continue *step_00000004' "$work/said"; then
        ! grep -q '^warning.*ckpt' "$work/said" && outcome=harmless
    elif grep -q '^continue *step_00000003' "$work/said"; then
        whole "$work/said" > "$work/lines"
        case $1 in
        index.h5) grep -q '^warning.*step_00000004/index.h5' "$work/lines" && outcome=named ;;
        *) grep -q "^warning.*step_00000004/$1.*tensor\|^warning.*step_00000004/$1.* of [a-z]" "$work/lines" && outcome=named ;;
        esac
    fi
}
named=0 harmless=0 wrong=0
for run in $(seq "$RUNS"); do
    rm -rf "$work/run"
    cp -r "$work/base" "$work/run"
    if [ $((run % 2)) -eq 0 ]; then file=index.h5; else file=shard_0000.h5; fi
    draw $((8 * $(wc -c < "$work/run/ckpt/step_00000004/$file")))
    flip "$work/run/ckpt/step_00000004/$file" "$drawn"
    ends 0 train run 5
    judged "$file"
    eval "$outcome=\$(($outcome + 1))"
    [ $outcome != wrong ] || { echo "# $file, bit $drawn:"; sed 's/^/# /' "$work/said" | tail -n 12; }
done
[ $wrong -eq 0 ] && [ $((named + harmless)) -eq "$RUNS" ]
verdict $? "$RUNS runs with a flipped bit: $named fell back and named file and tensor, $harmless harmless, $wrong wrong"

# ---- on the way to the disk ----
# The 40th write is one of the save of step 2. With keep: 1 that save would leave nothing else.
if shim validation/faults/shim.c; then
    for async in true false; do
        rm -rf "$work/run"
        ends 73 env LD_PRELOAD="$shim" FILES_TRACE=/dev/null FILES_UNDER="$work/run" FILES_FLIP=40 "$COPPICE" train \
            "$work/deck.yaml" --set "run.dir=$work/run" --set run.steps=2 --set checkpoint.keep=1 --set checkpoint.async=$async &&
            said 'FILES_FLIP: .*/step_00000002' && said 'step 2 is not saved: .*shard_0000.h5.* of [a-z]' &&
            ends 0 "$COPPICE" inspect "$work/run" --verify && ends 0 train run 5 && said '^continue *step_00000001' &&
            [ "$(hashes "$work/run")" = "$whole" ]
        verdict $? "a bit that flips on its way to the disk, checkpoint.async: $async: found before the older checkpoint goes"
    done
fi
finish
