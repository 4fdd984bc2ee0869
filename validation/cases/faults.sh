#!/bin/sh
# Every call on a file fails once (COPPICE_FAIL), while a run starts from a model directory and while one continues:
# no crash, no hang, a documented exit code; no read error sets a checkpoint aside or changes the one before; and the
# same command without the fault ends with the weights of an undisturbed run.
# Some calls of each kind on one rank; CHECK_LEVEL=long (or full): every call while a run continues, others by powers,
# ranks 0 and 3 of 4 too, more errors.
. "${srcdir:-.}/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1
tokens "$work/t"
"$builddir/validation/cases/hf_model" "$work/model" > "$work/said" 2>&1 || { cat "$work/said"; exit 99; }
case ${CHECK_LEVEL:-} in long | full) level=full ;; *) level=quick ;; esac

# deck LIKE NAME: a run folder $work/run
cat > "$work/deck.yaml" <<DECK
model: {like: $work/model, moe: {experts: 4, top_k: 2}}
run: {steps: 3, dir: $work/run}
data: {sequence: 16, train: [$work/t], split: [0.9, 0.1]}
batch: {sequences: 8, micro: 2}
optimizer: {lr: 0.01, horizon: 1000, warmup: 3}
eval: {every: 2, tokens: 64}
checkpoint: {every: 1, keep: 2}
DECK

# train RANKS ARGUMENT...: the command of all trials
train() {
    ranks=$1
    shift
    if [ "$ranks" -eq 1 ]; then
        timeout 60 "$COPPICE" train "$work/deck.yaml" "$@"
    else
        # shellcheck disable=SC2086
        timeout 60 "$MPIEXEC" $MPIEXEC_FLAGS -n "$ranks" "$COPPICE" train "$work/deck.yaml" --set parallel.tensor=2 \
            --set parallel.expert=2 "$@"
    fi
}

hashes() { "$COPPICE" inspect "$work/run" 2> /dev/null | grep '^hashes'; }

# prepare RANKS: undisturbed runs of 2 and 3 steps, and what they end with
prepare() {
    rm -rf "$work/run" "$work/base"
    train "$1" --set run.steps=2 > "$work/said" 2>&1 || return 1
    cp -r "$work/run" "$work/base"
    train "$1" > "$work/said" 2>&1 || return 1
    want=$(hashes)
    [ -n "$want" ]
}

# start begin|continue
start() {
    rm -rf "$work/run"
    [ "$1" = begin ] || cp -r "$work/base" "$work/run"
}

# right START CODE: after a trial; says what is wrong
right() {
    case $2 in
    0 | 73 | 74) ;;
    64) [ "$op" = open ] || [ "$op" = read ] || return 1 ;; # the deck, or the lock
    65) [ "$1" = begin ] || return 1 ;;
    *) echo "exit code $2"; return 1 ;;
    esac
    [ "$2" -eq 0 ] || grep -q '^coppice: ' "$work/said" || { echo "exit code $2 and not a word"; return 1; }
    for bad in "$work"/run/ckpt/*.bad; do
        [ ! -e "$bad" ] || { echo "set aside: $bad"; return 1; }
    done
    [ "$1" = begin ] || cmp -s "$work/base/ckpt/step_00000002/index.h5" "$work/run/ckpt/step_00000002/index.h5" ||
        { echo "the checkpoint before has changed"; return 1; }
    train "$ranks" > "$work/again" 2>&1 || { echo "the same command again: $(tail -n 1 "$work/again")"; return 1; }
    [ "$(hashes)" = "$want" ] || { echo "other weights in the end"; return 1; }
}

# trial START RANK OP K HOW: 0 right, 1 wrong, 2 there is no such call
trial() {
    start "$1"
    op=$3
    COPPICE_FAIL=$3:$2:$4$5 train "$ranks" > "$work/said" 2>&1
    code=$?
    grep -q '^COPPICE_FAIL: ' "$work/said" || return 2
    trials=$((trials + 1))
    why=$(right "$1" $code) && return 0
    echo "# $1, $ranks ranks, COPPICE_FAIL=$3:$2:$4$5: exit code $code: ${why:-not the code for this}"
    grep -E '^(coppice|COPPICE_FAIL|warning)' "$work/said" | sed 's/^/#   /' | tail -n 6
    return 1
}

# sweep START RANK HOW STEP OP...: K from 1 on, each time STEP times as large (1: every call)
sweep() {
    begins=$1 rank=$2 how=$3 by=$4
    shift 4
    for sweep_op; do
        k=1 wrong=0 trials=0
        while :; do
            trial "$begins" "$rank" "$sweep_op" $k "$how"
            case $? in
            1) wrong=$((wrong + 1)) ;;
            2) break ;;
            esac
            [ "$by" -gt 1 ] && k=$((k * by)) || k=$((k + 1))
        done
        [ $wrong -eq 0 ]
        verdict $? "$begins, $ranks ranks: $sweep_op:$rank:K$how, $trials calls"
    done
}

calls="open stat opendir read pread write pwrite fsync close rename link mkdir unlink"
ranks=1
prepare 1
verdict $? "an undisturbed run"
if [ $level = quick ]; then
    sweep continue 0 "" 9 open pread pwrite fsync rename
else
    # shellcheck disable=SC2086
    sweep begin 0 "" 3 $calls
    # shellcheck disable=SC2086
    sweep continue 0 "" 1 $calls
    for begins in begin continue; do
        sweep $begins 0 :ENOSPC 3 open write pwrite fsync mkdir rename
        sweep $begins 0 :SHORT 3 read pread write pwrite
        sweep $begins 0 :EINTR 3 open read pread write pwrite fsync
        sweep $begins 0 +:ESTALE 3 open pread stat
        sweep $begins 0 +:ENOSPC 3 write pwrite mkdir
    done
    if test_ranks 4 1 && ranks=4 && prepare 4; then
        verdict 0 "an undisturbed run of 4 ranks"
        for rank in 0 3; do
            sweep continue $rank "" 2 open pread pwrite fsync close write rename mkdir stat
            sweep begin $rank "" 3 open pread pwrite
        done
    fi
fi

# ---- what stays unreadable, and what is really damaged ----
ranks=1
prepare 1
start continue
COPPICE_FAIL=pread:0:1+:ESTALE ends 74 train 1 && said 'Stale file handle' && [ -e "$work/run/ckpt/step_00000002" ]
verdict $? "a checkpoint that stays unreadable: 74 with the errno, and it stays"
printf x | dd of="$work/run/ckpt/step_00000002/shard_0000.h5" bs=1 seek=9000 conv=notrunc 2> /dev/null
ends 0 train 1 && said 'noted in ckpt/damaged.jsonl: .*step_00000002' && [ "$(hashes)" = "$want" ]
verdict $? "a changed byte: noted, from the one before to the same weights"
COPPICE_FAIL=pwrite:0:x ends 64 train 1 && said 'OP:RANK:K'
verdict $? "a COPPICE_FAIL that makes no sense is refused"

# ---- saves and logs that fail ----
# Reports are written by the same calls: one of the first belongs to the save.
for k in 2 3 4 5 6 7 8; do
    start continue
    mkdir "$work/run/ckpt/step_00000007.tmp"
    touch "$work/run/ckpt/step_00000007.tmp/shard_0000.h5"
    COPPICE_FAIL=pwrite:0:$k:ENOSPC ends 0 train 1 --set run.steps=4 --set checkpoint.async=false || break
    grep -q 'step 3 is not saved' "$work/said" && break
done
said 'warning .*step 3 is not saved: .*No space' &&
    [ -e "$work/run/ckpt/step_00000004" ] && [ ! -e "$work/run/ckpt/step_00000007.tmp" ]
verdict $? "a failed save is a warning, the next one succeeds; leftovers are gone"
start continue
COPPICE_FAIL=pwrite:0:2+:ENOSPC ends 73 train 1 --set run.steps=4 && said '^coppice: step 4 is not saved: .*No space' &&
    [ ! -e "$work/run/ckpt/step_00000004.tmp" ] && ends 0 train 1 && [ "$(hashes)" = "$want" ]
verdict $? "the last save fails: 73, nothing of it is left, the same command goes on"
start continue
COPPICE_FAIL=write:0:3+:ENOSPC ends 0 train 1 && said 'warning .*cannot be written: No space' && [ "$(hashes)" = "$want" ]
verdict $? "logs that cannot be written are a warning"
start continue
printf '{"step":2,"lo' >> "$work/run/metrics.jsonl"
ends 0 train 1 && tail -n 2 "$work/run/metrics.jsonl" | head -n 1 | grep -q '^{"step":3.*}$'
verdict $? "half a line of a crash does not swallow the next one"
finish
