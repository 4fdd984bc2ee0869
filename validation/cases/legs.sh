#!/bin/sh
# What a leg may change between two starts, and what it must not.
. "${srcdir:-.}/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1
tokens "$work/t"
"$builddir/validation/cases/hf_model" "$work/model" > "$work/said" 2>&1 || { cat "$work/said"; exit 99; }
cat > "$work/deck.yaml" <<DECK
model: {like: $work/model, moe: {experts: 4, top_k: 2}}
run: {tokens: 1024, dir: $work/run}
data: {sequence: 16, train: [$work/t], split: [0.9, 0.1]}
batch: {sequences: 4, micro: 2}
optimizer: {lr: 0.01, warmup: 1}
eval: {every: never, tokens: 64}
DECK
train() { "$COPPICE" train "$work/deck.yaml" "$@"; }

ends 0 train --set run.tokens=512 && ends 0 train --set batch.sequences=8 && said 'step 8 of 12' && said ' 1.02 k '
verdict $? "run.tokens with a larger batch ends at the tokens, not at the steps"

# 512 tokens are 8 steps of 4 x 16; the next leg takes 16 x 16 = 256 a step, and its last one is cut to 64
ends 0 train --set "run.dir=$work/cut" --set run.tokens=512 &&
    ends 0 train --set "run.dir=$work/cut" --set run.tokens=832 --set batch.sequences=16 &&
    grep -q '"tokens": 832' "$work/cut/status.json" && said 'step 8 of 10'
verdict $? "the last step is cut to meet run.tokens"
ends 0 train --set batch.sequences=2 && said 'nothing to do: step 12'
verdict $? "and with a smaller one there is nothing to do"

ends 64 train --set model.moe.experts=8 && said 'of another model .*E4T2.*E8T2' && said 'start.from: '
verdict $? "another number of experts: start.from is named, not --branch"
ends 64 train --branch "$work/b" --set model.moe.experts=8 && said 'start.from: ' && ! said '^branch' && [ ! -e "$work/b" ]
verdict $? "nor does a branch begin with it"
ends 0 train --branch "$work/b" --set optimizer.lr=0.1 --set run.tokens=2048 && said '^branch' &&
    said 'warning .*optimizer.lr: step 12 is behind the horizon of 8 steps'
verdict $? "a new rate behind the horizon: a line"

mv "$work/model" "$work/away"
ends 0 train --set run.tokens=1280 && said '^continue .*step 12 of 16'
verdict $? "a restart needs no model.like"
ends 65 train --fresh && [ -e "$work/run/ckpt" ]
verdict $? "a fresh run does, and nothing is moved before that is seen"
mv "$work/away" "$work/model"

# ---- data ----
cp "$work/t.bin" "$work/kept"
printf 'zzzz' | dd of="$work/t.bin" bs=1 seek=0 conv=notrunc 2> /dev/null
ends 65 train --set run.tokens=1536 && said 'not those that .*was trained on' && said -- '--branch'
verdict $? "tokens that were replaced are refused"
ends 0 train --branch "$work/c" --set run.tokens=1536 && said 'warning .*not those'
verdict $? "and a branch goes on with them, with a warning"
mv "$work/kept" "$work/t.bin"
ends 0 train --set run.tokens=1536
verdict $? "restored, the run goes on"

# ---- the folder's name ----
last=$(cd "$work/run/ckpt" && ls -d step_0* | tail -n 1)
mv "$work/run/ckpt/$last" "$work/run/ckpt/step_00000099"
ends 0 train --set run.tokens=2048 && said 'continue .*step 16 of' && said 'step_00000099.*is the index of step'
verdict $? "a checkpoint under another step's name is not believed"
finish
