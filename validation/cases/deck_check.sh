#!/bin/sh
# coppice deck check opens what a deck names and reports all mistakes with their positions. train refuses the same decks with
# the same messages before it makes anything. It also warns at the start if the model cannot be exported.
. "${srcdir:-.}/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1
make_model=$builddir/validation/cases/hf_model
tokens "$work/t"
"$make_model" "$work/m" && "$make_model" "$work/two" --family mixtral &&
    "$make_model" "$work/cut" --drop model.norm.weight && "$make_model" "$work/nan" --first model.norm.weight=nan || exit 99
mkdir "$work/empty"
echo file > "$work/file"
cd "$work" || exit 73

# deck MODEL DATA RUN [LINE...]: deck.yaml, a section a line
deck() {
    { echo "model: {$1}"; echo "data: {$2}"; echo "run: {$3}"; shift 3; for line; do echo "$line"; done; } > deck.yaml
}
model="like: m, moe: {experts: 4, top_k: 2}" data="sequence: 16, train: [t], split: [0.9, 0.1]" run="steps: 1, dir: run"
batch="batch: {sequences: 4, micro: 2}"

# tells WHAT CODE LINE...: deck check ends with the code and says exactly these lines (patterns); train the same
tells() {
    what=$1 code=$2
    shift 2
    rm -rf run
    ends "$code" "$COPPICE" deck check deck.yaml --ranks 1
    good=$?
    narrow said || good=1
    whole said > checked
    for line; do grep -q -e "$line" checked || { good=1; echo "nobody said: $line" >> said; }; done
    [ "$(grep -c . checked)" -eq $# ] || { good=1; echo "not $# lines" >> said; }
    if [ $good -eq 0 ]; then
        ends "$code" "$COPPICE" train deck.yaml && whole said > trained && cmp checked trained && [ ! -e run ] || good=1
    fi
    verdict $good "$what"
}

# ---- all at once ----

deck "like: nowhere, moe: {experts: 4, top_k: 9}" "sequence: 16, train: [t, no], valid: [neither]" "steps: 1, dir: file/x" \
    "batch: {sequences: 4, micro: 3}" "optimizer: {lrr: 1}" "device: {type: tpu}"
tells "eight mistakes of every kind in one go" 64 'deck.yaml:5:13: optimizer.lrr: unknown key; did you mean optimizer.lr?' \
    'deck.yaml:1:49: model.moe.top_k: 9 is more than' 'deck.yaml:4:30: batch.micro: 3 does not divide' \
    'deck.yaml:1:15: model.like: .*nowhere: there is no such folder' 'deck.yaml:6:16: device.type: .*tpu' \
    'deck.yaml:2:[0-9]*: data.train.1.path: .*no.bin' 'deck.yaml:2:[0-9]*: data.valid.0.path: .*neither.bin' \
    'deck.yaml:3:22: run.dir: .*file/x cannot be made: .*file: Not a directory'
deck "like: m, moe: {experts: 6, top_k: 3, granularity: 4}, max_positions: 8" "$data" "$run" "$batch"
tells "mistakes of the shape together" 64 'deck.yaml:2:18: data.sequence: 16 is more than' \
    'deck.yaml:1:59: model.moe.granularity: 4 does not divide'
deck "$model" "sequence: 16, train: [t]" "stepss: 1" "$batch"
tells "what follows from a misspelt key is not told" 64 'deck.yaml:3:7: run.stepss: unknown key; did you mean run.steps?'
deck "$model" "$data" "$run" "$batch" "optimizer: ]"
tells "a deck that is not YAML: only that" 64 'deck.yaml:[0-9:]*: not YAML'

# ---- one of each kind ----

# one WHAT CODE LINE: the deck has one mistake
one() { tells "$1" "$2" "$3"; }
deck "like: empty" "$data" "$run" "$batch"
one "a folder without a model" 65 'deck.yaml:1:15: model.like: .*empty: '
deck "like: cut" "$data" "$run" "$batch"
one "a tensor is missing" 65 'deck.yaml:1:15: model.like: .*model.norm.weight'
deck "$model, hidden: 40" "$data" "$run" "$batch" "start: {from: m, upcycle: {parents: [no]}}"
tells "start.from of another shape, a parent that is not there" 64 'deck.yaml:1:[0-9]*: .*m: its shape differs' \
    'deck.yaml:5:37: start.upcycle.parents: .*no: there is no such folder'
deck "like: m, moe: {experts: 8, top_k: 2, granularity: 4}" "$data" "$run" "$batch"
one "granularity 4 with top_k 2" 64 'deck.yaml:1:43: .*m: model.moe.top_k: .*multiple of granularity'
for router in "" ", router: topk-softmax" ", router: softmax-topk, renormalise: true"; do
    deck "like: m, moe: {experts: 4, top_k: 1$router}" "$data" "$run" "$batch"
    one "top_k 1$router: the router never learns" 64 'deck.yaml:1:[0-9]*: model.moe.*never learns'
done
deck "like: m, moe: {experts: 1, top_k: 1, router: softmax-topk}" "$data" "$run" "$batch"
one "one expert: the router never learns" 64 'deck.yaml:1:33: model.moe.experts: 1: .*never learns'
deck "like: m, moe: {experts: 4, top_k: 2, aux_loss_coeff: 0}" "$data" "$run" "$batch" "start: {upcycle: {router: zero}}"
one "equal experts under a zero router never become different" 64 'deck.yaml:5:27: start.upcycle.router: zero: .*never learns'
deck "$model" "sequence: 1, train: [t], split: [0.9, 0.1]" "$run" "$batch"
one "sequences of one token: Q and K never learn" 64 'deck.yaml:2:18: data.sequence: 1: .*never learn'
deck "$model" "sequence: 16, train: [file]" "$run" "$batch"
one "a data set that is none" 65 'deck.yaml:2:30: data.train.0.path: .*file'
deck "$model" "sequence: 16, train: [t], split: [0.999, 0.001]" "$run" "$batch"
one "a validation set shorter than a window" 65 'deck.yaml:2:[0-9]*: .*t: 4 tokens .*fewer than one window'
deck "hidden: 32, ffn: 48, layers: 1, heads: 4, vocab: 100" "$data" "$run" "$batch" "start: random"
one "ids beyond the vocabulary" 65 'deck.yaml:2:30: data.train.0.path: .*vocabulary'
deck "$model" "$data" "$run" "$batch" "parallel: {tensor: 3}"
one "a layout that does not fit" 64 'deck.yaml:5:20: parallel.tensor 3 does not divide'
for name in cut m nan two; do
    deck "like: $name" "$data" "$run" "$batch"
    rm -rf run
    "$COPPICE" deck check deck.yaml > checked 2>&1
    checked=$?
    "$COPPICE" train deck.yaml > said 2>&1
    [ $checked -eq $? ] && { [ $checked -eq 0 ] || [ "$(grep '^coppice' checked)" = "$(grep '^coppice' said)" ]; }
    verdict $? "$name: deck check and train agree, exit code $checked"
done

# ---- ranks ----

deck "$model" "$data" "$run" "$batch" "parallel: {expert: 2}"
rm -rf run
ends 0 "$COPPICE" deck check deck.yaml && said 'good; fits 2 ranks' && [ ! -e run ]
verdict $? "without --ranks: which numbers of ranks fit; nothing is written"
ends 0 "$COPPICE" deck check deck.yaml --ranks 4 && said 'good; fits 4 ranks'
verdict $? "--ranks 4"
ends 64 "$COPPICE" deck check deck.yaml --ranks 3 && said 'deck.yaml:5:20: parallel.expert 2 .*does not divide 3 ranks'
verdict $? "--ranks 3 does not fit"
deck "$model" "$data" "$run" "$batch" "parallel: {tensor: 3, expert: 2}"
ends 64 "$COPPICE" deck check deck.yaml && said 'deck.yaml:5:20: parallel.tensor 3 does not divide'
verdict $? "a layout that fits no number of ranks"
ends 64 "$COPPICE" deck check deck.yaml --json && said '"good": false' && said '"deck.yaml:5:20: parallel.tensor 3'
verdict $? "--json"

# ---- restart ----

deck "$model" "$data" "$run" "$batch"
ends 0 "$COPPICE" train deck.yaml && ends 0 "$COPPICE" deck check deck.yaml && rm -rf kept && mv run kept
verdict $? "a run; the deck is good to continue it"
deck "$model" "$data" "steps: 2, dir: kept, seed: 5" "$batch" "optimizer: {lr: 1}"
ends 64 "$COPPICE" deck check deck.yaml && said 'kept: keys that may not change' && said 'run.seed: .*deck.yaml:3' &&
    said 'optimizer.lr: .*deck.yaml:5' && cp said checked && ends 64 "$COPPICE" train deck.yaml && cmp checked said
verdict $? "keys that may not change on restart, all of them, as train says it"
ends 0 "$COPPICE" train deck.yaml --branch other
verdict $? "a branch may change them"

# ---- what is no mistake ----

zero='warning.*deck.yaml:1:[0-9]*: model.moe.aux_loss_coeff: 0.*exactly 0'
deck "like: m, moe: {experts: 4, top_k: 2, aux_loss_coeff: 0}" "$data" "$run" "$batch"
ends 0 "$COPPICE" deck check deck.yaml && said "$zero" && rm -rf run && ends 0 "$COPPICE" train deck.yaml && said "$zero" &&
    [ "$(whole said | grep -c '^warning.*exactly 0')" -eq 1 ]
verdict $? "equal experts and no auxiliary loss: deck check and train warn, once"
silent=0
for moe in "router: softmax-topk" "granularity: 2" "z_loss_coeff: 0.001"; do
    deck "like: m, moe: {experts: 4, top_k: 2, aux_loss_coeff: 0, $moe}" "$data" "$run" "$batch"
    rm -rf run
    ends 0 "$COPPICE" deck check deck.yaml && ! grep -q 'exactly 0' said || silent=1
done
deck "like: m, moe: {experts: 4, top_k: 2, aux_loss_coeff: 0}" "$data" "$run" "$batch" "start: {upcycle: {noise: 0.1}}"
rm -rf run
ends 0 "$COPPICE" deck check deck.yaml && ! grep -q 'exactly 0' said && [ $silent -eq 0 ]
verdict $? "... and not where weights, groups, a loss or noise tell experts apart"

# ---- what no export can say ----

deck "like: m, moe: {experts: 4, top_k: 2, aux_loss_coeff: 0, bias_update_rate: 0.01}" "$data" "$run" "$batch"
ends 0 "$COPPICE" deck check deck.yaml && said 'warning.*deck.yaml:1:[0-9]*: .*bias_update_rate' && rm -rf run &&
    ends 0 "$COPPICE" train deck.yaml && said 'warning.*bias_update_rate' && ! grep -q 'next.*coppice export' said
verdict $? "a model that cannot be exported: a warning at the start, and train's last line names no export"

# ---- the template ----

"$COPPICE" deck new m t > new.yaml
ends 0 "$COPPICE" deck check new.yaml --set data.sequence=16
verdict $? "coppice deck new MODEL DATA is good"
finish
