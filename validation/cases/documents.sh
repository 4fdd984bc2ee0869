#!/bin/sh
# data.document_mask and data.pad_id by the program itself: documents in one sequence are what they are as sequences of
# their own, and more padding changes nothing. Losses, gradients, drops, validation; one rank, tensor and expert ranks.
. "${srcdir:-.}/validation/scripts/tap.sh"
cd "$work" || exit 73
export OMP_NUM_THREADS=1

# le NUMBER BYTES: little-endian
le() {
    number=$1
    for _ in $(seq "$2"); do
        # shellcheck disable=SC2059
        printf "\\$(printf %o $((number % 256)))"
        number=$((number / 256))
    done
}

# index PREFIX LENGTH...: of documents of bytes
index() {
    prefix=$1 at=0
    shift
    {
        printf 'MMIDIDX\0\0'
        le 1 8; le 1 1; le $# 8; le $(($# + 1)) 8
        for n in "$@"; do le "$n" 4; done
        for n in "$@"; do le $at 8; at=$((at + n)); done
        for n in $(seq 0 $#); do le "$n" 8; done
    } > "$prefix.idx"
}

tokens t
tiny 'experts: 4, top_k: 2, capacity: 1.0, capacity_policy: probability, aux_loss_coeff: 0.02, z_loss_coeff: 0.01' t > deck.yaml
echo "run: {steps: 1}" >> deck.yaml

# probe RANKS SET SEQUENCE SEQUENCES OPTION...: one batch of a set, as one micro-batch
probe() {
    ranks=$1 set=$2 sequence=$3 sequences=$4
    shift 4
    ends 0 launch "$ranks" "$COPPICE" probe deck.yaml --set data.split=~ --set "data.train=$set" \
        --set "data.sequence=$sequence" --set "batch.sequences=$sequences" --set "batch.micro=$sequences" "$@" &&
        grep -E '^(loss|dropped) ' said > "$set-$sequence"
}

# near A B: losses, norm and drops to rounding; the margin of the router is none of them
near() {
    cat "$1" "$2" >> said
    paste "$1" "$2" | awk '{ for (i = 2; i <= NF / 2; i += 2) { a = $i; b = $(i + NF / 2); n++
        if ($(i - 1) != "margin" && (a - b > 2e-6 * b || b - a > 2e-6 * b)) bad = 1 } } END { exit bad || n < 6 }'
}

# ---- documents of 8 tokens, two a sequence of 16; the last token is a document, and only a target ----
head -c 33 t.bin > d.bin
index d 8 8 8 8 1
probe 1 d 8 4 && probe 1 d 16 2 --set data.document_mask=true --out d.safetensors && near d-8 d-16
verdict $? "two documents in a sequence are two sequences"
mv d-16 masked
probe 1 d 16 2 && ! near masked d-16
verdict $? "... and are not, without the mask"
probe 1 d 16 2 --set data.document_mask=true --set device.precision=bf16 --set device.check=hidden
verdict $? "in BF16, with memory that the host cannot touch"
grep -a -q '"documents"' d.safetensors && ends 0 "$COPPICE" probe deck.yaml --set data.split=~ --set data.train=~ \
    --set data.batches=d.safetensors --set batch.sequences=2 --set batch.micro=2 --set data.document_mask=true --expect d.safetensors
verdict $? "a reference has its documents with it"
sed 's/"documents":/"Documents":/' d.safetensors > lost.safetensors
ends 65 "$COPPICE" probe deck.yaml --set data.split=~ --set data.train=~ --set data.batches=lost.safetensors \
    --set batch.sequences=2 --set batch.micro=2 --set data.document_mask=true && said 'needs an array documents'
verdict $? "batches without documents"

# ---- a window of the padded set p is one of u and eight more tokens of padding, '~' = 126 ----
for i in 0 1 2 3; do
    text=$(tail -c +$((8 * i + 1)) t.bin | head -c 7)
    printf '~%s' "$text" >> u.bin
    printf '~%s~~~~~~~~' "$text" >> p.bin
done
printf '~' | tee -a u.bin >> p.bin
index u 33
index p 65
pad="--set data.pad_id=126"
# shellcheck disable=SC2086
probe 1 u 8 4 $pad && probe 1 p 16 4 $pad --out p.safetensors && near u-8 p-16
verdict $? "padding changes no loss, load, capacity and gradient"
mv p-16 padded
probe 1 p 16 4 && ! near padded p-16
verdict $? "... and does where it is none"
# shellcheck disable=SC2086
ends 64 "$COPPICE" probe deck.yaml --set data.pad_id=128 && said 'set: data.pad_id: 128: the vocabulary has 128'
verdict $? "padding outside the vocabulary"

# ---- other layouts ----
for layout in "2 2 1" "2 1 2" "4 2 4"; do
    set -- $layout
    test_ranks "$1" 2 || continue
    for of in "d 2 --set data.document_mask=true" "p 4 $pad"; do
        # shellcheck disable=SC2086
        set -- $layout $of
        set=$4 sequences=$5 ranks=$1
        probe "$ranks" "$set" 16 "$sequences" "$6" "$7" --set "parallel.tensor=$2" --set "parallel.expert=$3" \
            --expect "$set.safetensors"
        verdict $? "$set on $ranks ranks, tensor $2, expert $3: logits and gradients of one rank"
    done
done

# ---- a run, and its validation ----
head -c 129 t.bin > v.bin
# shellcheck disable=SC2046
index v $(for _ in $(seq 16); do echo 8; done) 1
train() { ends 0 "$COPPICE" train deck.yaml --fresh --set data.split=~ --set data.train=v --set data.valid=v "$@" &&
    awk '$1 == "valid" && $2 ~ /^[0-9]+$/ { print $3 }' said > "$name"; }
name=eight train --set data.sequence=8 --set batch.sequences=16 --set batch.micro=16 &&
    name=sixteen train --set data.sequence=16 --set data.document_mask=true --set batch.micro=8 && [ "$(wc -l < eight)" -eq 2 ] &&
    paste eight sixteen | awk '{ if ($1 - $2 > 1.1e-4 || $2 - $1 > 1.1e-4) bad = 1 } END { exit bad }'
verdict $? "validation before and after a step is that of the documents alone"
ends 64 "$COPPICE" train deck.yaml --set data.split=~ --set data.train=v --set data.valid=v --set data.sequence=16 && said 'data.document_mask: was true'
verdict $? "a run keeps its mask"
"${builddir:-$top/build}/validation/cases/hf_model" base --family mistral --set 'eos_token_id=[8,9]' --set sliding_window=6
sed '/^start/d; /^model/,/moe/d' deck.yaml > base.yaml
ends 0 "$COPPICE" train base.yaml --set model.like=base --set data.split=~ --set data.train=v --set data.valid=v --set data.pad_id=9 &&
    said 'data.pad_id: 9 also ends texts'
verdict $? "padding that ends texts: a warning; a model with a window of 6 trains"
finish
