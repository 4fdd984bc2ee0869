#!/bin/sh
# A run in many legs is the run in one leg, bit by bit: losses, norms, hashes, the bytes of its files. And a checkpoint of any
# layout goes on on any other: the same hashes, the next step's loss and norm to 1e-5, which is fp32's rounding.
#   LEGS="1 2 7 8 13 19 24" PAIRS=24 SEED=1 validation/faults/legs.sh
. "${srcdir:-.}/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1
LEGS=${LEGS:-1 2 7 8 13 19 24} PAIRS=${PAIRS:-24} SEED=${SEED:-1}
tokens "$work/t"
{ tiny "experts: 4, top_k: 2, aux_loss_coeff: 0.02, bias_update_rate: 0.001" "$work/t"; echo "log: {every: 1}"; } |
    sed 's/^batch: .*/batch: {sequences: 12, micro: 1}/' > "$work/deck.yaml"

# train RUN STEPS RANKS:TENSOR:EXPERT:EXPERT_TENSOR ARGUMENTS...
train() {
    IFS=: read -r ranks tensor expert cut <<END
$3
END
    folder=$work/$1 steps=$2
    shift 3
    launch "$ranks" "$COPPICE" train "$work/deck.yaml" --set "run.dir=$folder" --set run.steps="$steps" --set parallel.tensor="$tensor" \
        --set parallel.expert="$expert" --set parallel.expert_tensor="$cut" "$@"
}
curve() { sed -n 's/^{"step":\([0-9]*\),.*"loss":\([^,]*\),.*"grad_norm":\([^,]*\),.*/\1 \2 \3/p' "$work/$1/metrics.jsonl"; }
hashes() { "$COPPICE" inspect "$work/$1" | grep '^hashes' | grep -o '[0-9a-f]\{16\}'; }

# ---- legs ----
for layout in 1:1:1:1 4:2:2:2; do
    test_ranks "${layout%%:*}" 1 || continue
    legs=0 last=${LEGS##* }
    ends 0 train whole "$last" $layout
    good=$?
    for steps in $LEGS; do
        [ $good -eq 0 ] && ends 0 train legs "$steps" $layout
        good=$?
        legs=$((legs + 1))
    done
    curve whole > "$work/one"
    curve legs > "$work/two"
    hashes whole >> "$work/one"
    hashes legs >> "$work/two"
    newest=ckpt/$(cd "$work/legs/ckpt" && ls -d step_*[0-9] | tail -n 1)
    [ $good -eq 0 ] && [ "$(wc -l < "$work/one")" -eq $((last + 3)) ] && diff "$work/one" "$work/two" > "$work/said" &&
        cmp "$work/whole/$newest/shard_0000.h5" "$work/legs/$newest/shard_0000.h5" > "$work/said" 2>&1
    verdict $? "$legs legs are one leg of $last steps, bit by bit: layout $layout (ranks:tensor:expert:expert_tensor)"
    rm -rf "$work/whole" "$work/legs"
done

# ---- pairs of layouts ----
layouts="1:1:1:1 2:1:1:1 2:2:1:1 2:1:2:1 2:1:1:2 3:1:1:1 4:1:1:1 4:2:2:1 4:2:4:1 4:2:2:2 4:1:4:1 4:1:1:4"
draw() { # draw N: a number from 1 to N
    SEED=$(((SEED * 1103515245 + 12345) % 2147483648))
    drawn=$((SEED / 65536 % $1 + 1))
}
any() { draw 12; one=$(echo $layouts | cut -d ' ' -f $drawn); }
# base LAYOUT: a run of three steps, and how it goes on there; made once
base() {
    base=base.$(echo "$1" | tr : .)
    [ ! -e "$work/$base" ] || return 0
    draw 3
    train "$base" 3 "$1" --set checkpoint.writers=$((drawn - 1)) && cp -r "$work/$base" "$work/on" && train on 4 "$1" &&
        curve on | tail -n 1 > "$work/$base/next" && rm -rf "$work/on"
}
# pair FROM TO
pair() {
    base "$1" > "$work/said" 2>&1 || return 1
    rm -rf "$work/pair"
    cp -r "$work/$base" "$work/pair"
    ends 0 train pair 4 "$2" || return 1
    grep '^continue' "$work/said" | grep -o '[0-9a-f]\{16\}' > "$work/one"
    hashes "$base" > "$work/two"
    curve pair | tail -n 1 | paste -d ' ' - "$work/$base/next" > "$work/step"
    [ "$(wc -l < "$work/one")" -eq 3 ] && diff "$work/one" "$work/two" >> "$work/said" && awk '
        function off(x, y) { x = x / y - 1; return x < 0 ? -x : x }
        { d = off($2, $5) > off($3, $6) ? off($2, $5) : off($3, $6); printf "%.1e\n", d; exit !(d < 1e-5) }' "$work/step" >> "$work/off"
}
if test_ranks 4 1; then
    done=0
    : > "$work/off"
    while [ $done -lt "$PAIRS" ]; do
        any
        from=$one
        any
        case $done in 0) from=1:1:1:1 one=4:2:2:2 ;; 1) from=4:2:2:2 one=1:1:1:1 ;; esac
        [ "$from" != "$one" ] || continue
        done=$((done + 1))
        pair "$from" "$one" || { verdict 1 "$from -> $one"; break; }
        echo "# $from -> $one: $(tail -n 1 "$work/off")"
    done
    [ "$(wc -l < "$work/off")" -eq "$PAIRS" ] && [ $bad -eq 0 ]
    verdict $? "$PAIRS pairs of 12 layouts: hashes equal, the next loss and norm differ by at most $(sort -g "$work/off" | tail -n 1)"
fi
finish
