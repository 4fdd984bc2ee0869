#!/bin/sh
# Files that all ranks need are opened once a job, whatever the number of ranks: deck, config.json, the headers of the
# weights, the index of the tokens; on a restart index.h5 as often as one rank opens it. Counted by a preloaded library.
. "${srcdir:-.}/validation/scripts/tap.sh"
test_ranks 4 7 || finish
shim validation/faults/shim.c || { echo "1..0 # SKIP nothing can be preloaded here"; exit 0; }
export OMP_NUM_THREADS=1
tokens "$work/t"
"$builddir/validation/cases/hf_model" "$work/model" > "$work/said" 2>&1 || { cat "$work/said"; exit 99; }
cat > "$work/deck.yaml" <<DECK
model: {like: $work/model, moe: {experts: 4, top_k: 2}}
run: {dir: $work/run}
data: {sequence: 16, train: [$work/t], split: [0.9, 0.1]}
batch: {sequences: 8, micro: 2}
optimizer: {lr: 0.01, horizon: 1000, warmup: 3}
eval: {every: never, tokens: 64}
checkpoint: {async: false}
DECK

# train RANKS STEPS: what it does to files is in $work/RANKS.STEPS
train() {
    # shellcheck disable=SC2046
    launch "$1" env LD_PRELOAD="$shim" FILES_TRACE="$work/$1.$2" FILES_UNDER="$work/" "$COPPICE" train "$work/deck.yaml" \
        --set run.steps="$2" --set run.dir="$work/run$1" \
        $([ "$1" -eq 1 ] || echo --set parallel.tensor=2 --set parallel.expert=2)
}
opens() { grep -c "^O [0-9]* 0 .*/$2\$" "$work/$1"; }
headers() { # the header's text begins behind its length, at byte 8
    inode=$(sed -n 's|^O \([0-9]*\) 0 .*/model.safetensors$|\1|p' "$work/$1" | head -n 1)
    grep -c "^R $inode 8 " "$work/$1"
}
once() { # once WHAT NUMBER
    echo "$1: $2 times" > "$work/said"
    [ "$2" -eq 1 ]
    verdict $? "4 ranks: $1 is read once"
}

ends 0 train 1 2 && ends 0 train 4 2 && [ "$(opens 4.2 t.bin)" -ge 4 ]
verdict $? "runs begin on 1 and 4 ranks; each rank opens the tokens themselves"
once "the deck" "$(opens 4.2 deck.yaml)"
once config.json "$(opens 4.2 config.json)"
once "the header of the weights" "$(headers 4.2)"
once "the index of the tokens" "$(opens 4.2 t.idx)"
ends 0 train 1 3 && ends 0 train 4 3 && said '^continue'
verdict $? "they go on"
echo "index.h5: $(opens 1.3 index.h5) times on 1 rank, $(opens 4.3 index.h5) times on 4" > "$work/said"
[ "$(opens 1.3 index.h5)" -eq "$(opens 4.3 index.h5)" ] && [ "$(opens 4.3 deck.yaml)" -eq 1 ] && [ "$(opens 4.3 t.idx)" -eq 1 ]
verdict $? "4 ranks open index.h5 as often as 1, deck and index of the tokens once"
finish
