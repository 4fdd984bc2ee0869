#!/bin/sh
# Model directories of other people: one model in three types; config.json's keys; heads that are stored twice;
# what a folder is when it is no model; what differs between the model and its weights.
. "${srcdir:-.}/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1
make_model=$builddir/validation/cases/hf_model
tokens "$work/t"

# model NAME OPTION...: a directory $work/NAME
model() { name=$1; shift; rm -rf "${work:?}/$name"; "$make_model" "$work/$name" "$@"; }

# deck MODEL-KEYS [LINE...]
deck() {
    { echo "model: {$1}"; shift
      for line; do echo "$line"; done
      echo "run: {steps: 1, dir: $work/run}"
      echo "data: {sequence: 16, train: [$work/t], split: [0.9, 0.1]}"
      echo "batch: {sequences: 2, micro: 1}"; } > "$work/deck.yaml"
}

# hash OF: the weights' hash that probe prints
hash_of() { "$COPPICE" probe "$work/deck.yaml" > "$work/said" 2>&1 && sed -n 's/^weights \([0-9a-f]*\).*/\1/p' "$work/said"; }

# ---- one model in three types, online and offline ----
# Values of 2^-20 to 127 * 2^-20: below 2^-14 they are subnormal in F16.
reference=
for type in F32 F16 BF16; do
    model "$type" --dtype $type --exponent -20
    deck "like: $work/$type, moe: {experts: 4, top_k: 2}"
    online=$(hash_of)
    "$COPPICE" upcycle "$work/deck.yaml" --out "$work/$type-moe" > "$work/said" 2>&1
    deck "like: $work/$type-moe"
    offline=$(hash_of)
    : "${reference:=$online}"
    [ -n "$online" ] && [ "$online" = "$reference" ] && [ "$offline" = "$reference" ]
    verdict $? "$type of small numbers: online $online, offline $offline, F32 online $reference"
done
# Denormals of F32, which growth scales: they are not flushed online either.
model denormal --first model.layers.0.mlp.down_proj.weight=3e-39 --first model.layers.0.mlp.up_proj.weight=1e-40
deck "like: $work/denormal, moe: {experts: 8, top_k: 4, granularity: 2}"
online=$(hash_of)
"$COPPICE" upcycle "$work/deck.yaml" --out "$work/denormal-moe" > "$work/said" 2>&1
deck "like: $work/denormal-moe"
offline=$(hash_of)
[ -n "$online" ] && [ "$online" = "$offline" ]
verdict $? "denormals of F32 times a weight scale: online $online, offline $offline"

finish
