#!/bin/sh
# Figures and console: threads, shares of time, share of the ceiling, time in metrics.jsonl, the explanation of columns, the
# width of lines, and no control characters of terminals in files.
. "${srcdir:-.}/validation/scripts/tap.sh"
esc=$(printf '\033')
tokens "$work/t"
tiny "experts: 4, top_k: 2" t > "$work/moe.yaml"
sed 's/, moe: {.*}}/}/; s/ *moe: {.*}}/ }/' "$work/moe.yaml" > "$work/dense.yaml"

# train RANKS DECK RUN OPTION...: what it says is in $work/said
train() {
    ranks=$1 deck=$2 run=$3
    shift 3
    ends 0 launch "$ranks" "$COPPICE" train "$work/$deck.yaml" --set "run.dir=$work/$run" --set run.steps=6 "$@"
}

# share_line: the whole percents of the time
share_line() { grep '^ *forward+backward' "$work/said"; }

# shares: none is negative, 100 in all
shares() {
    share_line | grep -q -e '-[0-9]' && return 1
    share_line | grep -o '[0-9]* %' | awk '{ sum += $1 } END { exit sum != 100 }'
}

# ---- shares, widths, columns ----
for ranks in 1 4; do
    test_ranks $ranks 2 || continue
    layout=
    [ $ranks -eq 1 ] || layout="--set parallel.tensor=2 --set parallel.expert=2"
    # shellcheck disable=SC2086
    train $ranks moe moe.$ranks --set eval.every=1 --set log.every=100 $layout && shares
    verdict $? "$ranks ranks: shares of the time add up to 100 %, none is negative, though validation exchanges too"
    narrow "$work/said" && ! grep -q "$esc" "$work/said" && said '  max load, layer' && said 'aux: loss that balances' &&
        [ "$(grep -c 'aux: loss' "$work/said")" -eq 1 ]
    verdict $? "$ranks ranks: columns explained once, no line over 120 columns, nothing for a terminal"
done
train 1 dense dense.1 --set log.every=1 && said '^ *step .*%peak  *left$' && ! grep -q 'aux\|max load\|drop' "$work/said"
verdict $? "a dense run has no columns of experts"

sed "s|^start: random|start: {from: $work/dense.1}|" "$work/moe.yaml" > "$work/up.yaml"
train 1 up up.1 --set run.steps=1 --set model.moe.aux_loss_coeff=0 && said '^warning .*exactly 0' && narrow "$work/said" && train 1 up up.1 --set run.steps=2 \
    --set model.moe.aux_loss_coeff=0 --set optimizer.warmup=0 --set optimizer.horizon=1 --branch "$work/up.2" && said '^warning .*behind the horizon' && narrow "$work/said"
verdict $? "warnings: no line over 120 columns"

# ---- metrics.jsonl ----
now=$(date +%s)
sed -n 's/.*"loss".*"time":\([0-9]*\),"leg_s":\([0-9.]*\)}$/\1 \2/p' "$work/moe.1/metrics.jsonl" | awk -v now="$now" '
    { good += $1 > now - 3600 && $1 <= now && $2 > last; last = $2 }
    END { exit good != 6 }' && head -n 1 "$work/moe.1/metrics.jsonl" | grep -q '"time":.*"leg_s":'
verdict $? "metrics.jsonl tells the time of every step, and its units"
sed -n 's/.*"load_max_over_mean":\([0-9.]*\),"load_worst":\([0-9.]*\),"load_worst_layer":\([0-9]*\),.*/\1 \2 \3/p' \
    "$work/moe.1/metrics.jsonl" | awk '{ good += $2 >= $1 && $3 <= 1 } END { exit good != 6 }'
verdict $? "metrics.jsonl names the layer with the worst load"
# a ceiling that other work has lowered is raised, or the share is not judged
sed -n 's/.*"mfu":\([^,]*\),.*/\1/p' "$work/moe.1/metrics.jsonl" | awk '{ bad += $1 + 0 > 1 } END { exit bad }'
verdict $? "no share of the ceiling above 1"

# ---- the same command again ----
ends 0 "$COPPICE" train "$work/moe.yaml" --set "run.dir=$work/moe.1" --set run.steps=6 --set eval.every=1
said 'to go on, raise run.steps'
verdict $? "nothing to do says what to raise"
train 1 moe one --set run.steps=1 && said '^DONE  *1 step, 128 tokens in' && ! grep -q ' 1 [a-z-]*s\b' "$work/said"
verdict $? "one step, one rank, one node: no plurals"

# ---- memory: predicted before the first step, measured after the last ----
# predicted RUN: never less than the peak of any rank, in any leg
predicted() {
    sed -n 's/.*"peak_rss_bytes":\[\([^]]*\)\].*"predicted_bytes":\([0-9]*\).*/\2,\1/p' "$work/$1/events.jsonl" |
        awk -F, '{ for (i = 2; i <= NF; i++) bad += $i > $1 } END { exit bad || NR != '"$2"' }'
}
train 1 moe moe.1 --set run.steps=8 && predicted moe.1 2
verdict $? "1 rank: the predicted memory holds, in the first leg and the next"
if test_ranks 4 1; then
    predicted moe.4 1
    verdict $? "4 ranks: the predicted memory holds"
fi

# close RUN: the last leg's prediction is at most 10 % more than the largest peak
close() {
    grep '"peak_rss_bytes"' "$work/$1/events.jsonl" | tail -n 1 |
        sed 's/.*"peak_rss_bytes":\[\([^]]*\)\].*"predicted_bytes":\([0-9]*\).*/\2,\1/' |
        awk -F, '{ for (i = 2; i <= NF; i++) if ($i > peak) peak = $i; printf "%.3f of %.0f MB\n", $1 / peak, peak / 1e6
                   exit !($1 <= 1.1 * peak) }' > "$work/share"
    good=$?
    cat "$work/share" >> "$work/said"
    return $good
}

# legs RANKS DECK RUN: the first, a continued and a branched one; each prediction holds and is close
legs() {
    train "$1" "$2" "$3" --set run.steps=2 && predicted "$3" 1 && close "$3" && first=$(cat "$work/share") &&
        train "$1" "$2" "$3" --set run.steps=4 && predicted "$3" 2 && close "$3" && second=$(cat "$work/share") &&
        train "$1" "$2" "$3" --set run.steps=6 --branch "$work/$3.b" && predicted "$3.b" 1 && close "$3.b"
    verdict $? "$2 on $1 ranks: predicted memory over the largest peak: first leg $first, continued $second, branched $(cat "$work/share")"
    rm -rf "${work:?}/$3/ckpt" "$work/$3.b/ckpt"
}

# model HIDDEN FFN LAYERS HEADS VOCAB
model() {
    sed "s/^model: .*/model: {hidden: $1, ffn: $2, layers: $3, heads: $4, kv_heads: 2, vocab: $5, tied: true,/" "$work/moe.yaml"
}
if [ "${CHECK_LEVEL:-}" = long ]; then
    model 32 64 3 4 256 > "$work/small.yaml"
    model 384 1024 6 6 8192 > "$work/large.yaml"
    for deck in small large; do
        legs 1 "$deck" "$deck.1"
        test_ranks 4 1 && legs 4 "$deck" "$deck.4"
    done
fi

# ---- threads: a rank's share of the cores, when nobody says how many ----
unset OMP_NUM_THREADS
cores=$(getconf _NPROCESSORS_ONLN)

# threads: of each rank, from the map
threads() { awk '$2 == "rank" || /^layout/ { map = 1; next } /^model/ { map = 0 } map && /\|/ && $1 != "node" { print $4 }' \
    "$work/said" | tr '\n' ' '; }

# threads_are EXPECTED COMMAND...
threads_are() {
    expected=$1
    shift
    rm -rf "$work/threads"
    ends 0 "$@" "$COPPICE" train "$work/moe.yaml" --set "run.dir=$work/threads" --set run.steps=1 &&
        [ "$(threads)" = "$expected " ] || { echo "threads: $(threads), not $expected" >> "$work/said"; return 1; }
}

if [ "$cores" -lt 2 ] || ! taskset -c 0,1 true 2> /dev/null; then
    for i in 1 2 3; do verdict 0 "# SKIP two cores and taskset are needed"; done
else
    threads_are 2 taskset -c 0,1
    verdict $? "one rank with two cores computes with two threads"
    # shellcheck disable=SC2016
    own='case ${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}} in 0) set -- taskset -c 0 "$@" ;; *) set -- taskset -c 1 "$@" ;; esac; exec "$@"'
    if test_ranks 2 2; then
        threads_are "1 1" launch 2 sh -c "$own" sh && ! grep -q '^warning.*cores' "$work/said"
        verdict $? "two ranks with a core each: one thread each, no warning"
        threads_are "1 1" launch 2 taskset -c 0,1 && ! grep -q '^warning.*cores' "$work/said"
        verdict $? "two ranks that share two cores: one thread each, no warning"
    fi
fi
finish
