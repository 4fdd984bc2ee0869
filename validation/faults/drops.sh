#!/bin/sh
# A machine that crashes at any moment of a run that saves and deletes checkpoints, when all that was not synced is lost: the
# newest checkpoint that was committed is there and whole. Two legs are written down call by call (shim.c) and replayed
# (replay.c).   STEPS=8 RANKS="1 2 4" validation/faults/drops.sh
. "${srcdir:-.}/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1
STEPS=${STEPS:-4} RANKS=${RANKS:-1}
shim validation/faults/shim.c || { echo "1..0 # SKIP nothing can be preloaded here"; exit 0; }
tokens "$work/t"
{ tiny "experts: 4, top_k: 2" "$work/t"; echo "checkpoint: {every: 1, keep: 2}"; } > "$work/deck.yaml"

# leg RANKS RUN STEPS ARGUMENTS...
leg() {
    on=$1 run=$work/$2 steps=$3
    shift 3
    launch "$on" env LD_PRELOAD="$shim" FILES_TRACE="$run.trace" FILES_DATA=1 FILES_UNDER="$work" "$COPPICE" train \
        "$work/deck.yaml" --set "run.dir=$run" --set run.steps="$steps" "$@"
}
# replayed RUN [--no-syncs]: the last line of replay
replayed() {
    # shellcheck disable=SC2086
    "$builddir/validation/faults/replay" "$work/$1.trace" "$work/$1" "$work/scratch" ${2:-} > "$work/said" 2>&1
    code=$?
    outcome=$(tail -n 1 "$work/said")
    return $code
}

for ranks in $RANKS; do
    test_ranks "$ranks" 2 || continue
    for async in true false; do
        name=$ranks.$async
        ends 0 leg "$ranks" "$name" $((STEPS - 2)) --set checkpoint.async=$async &&
            ends 0 leg "$ranks" "$name" "$STEPS" --set checkpoint.async=$async && replayed "$name"
        verdict $? "$ranks ranks, checkpoint.async: $async, $STEPS saves: $outcome"
    done
done
if [ -e "$work/${name:-none}.trace" ]; then
    ! replayed "$name" --no-syncs && [ "$code" -eq 1 ]
    verdict $? "without the syncs of files that is noticed: $outcome"
fi
finish
