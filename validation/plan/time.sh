#!/bin/sh
# Seconds a step that coppice plan predicts beside those of the run, for 8 decks that the machine file was not measured with. Each deck: the median of its
# steps after the first, within TIME_BAND per cent (10). The file is measured before each deck (ONCE=1: before the first),
# since the machine may be shared; still, other work on it spoils both. ONLY=TEXT: those decks.
# CHECK_LEVEL=long, on a machine with nothing else to do.
. "${srcdir:-.}/validation/scripts/tap.sh"
if [ "$CHECK_LEVEL" != long ]; then
    echo "1..0 # SKIP figures of time want a quiet machine: CHECK_LEVEL=long"
    exit 0
fi
band=${TIME_BAND:-10}
tokens "$work/tokens"

# The machine file is measured at these sizes.
cat > "$work/measured.yaml" << 'DECK'
start: random
model: {hidden: 512, ffn: 1408, layers: 2, heads: 8, kv_heads: 4, vocab: 4096, max_positions: 1024, moe: {experts: 8, top_k: 2}}
data: {sequence: 512, train: [tokens]}
batch: {sequences: 4, micro: 2}
run: {steps: 5}
checkpoint: {final: false}
DECK

# median FILE: of step_ms in metrics.jsonl, without the first
median() { grep -o '"step_ms":[0-9.e+]*' "$1" | sed 's/.*://' | tail -n +2 | sort -g | awk '{ x[NR] = $1 } END { print (x[int((NR + 1) / 2)] + x[int(NR / 2) + 1]) / 2 / 1000 }'; }

# compare NAME RANKS MODEL SETTING...
compare() {
    name=$1 ranks=$2
    case $name in *"${ONLY:-}"*) ;; *) return ;; esac
    sed "s/^model: .*/model: {vocab: 4096, max_positions: 1024, $3}/" "$work/measured.yaml" > "$work/deck.yaml"
    shift 3
    set -- "$work/deck.yaml" --set "run.dir=$work/run" "$@"
    file=$work/machine.$ranks.yaml
    [ -n "${ONCE:-}" ] || rm -f "$file"
    [ -e "$file" ] || launch "$ranks" "$COPPICE" plan --measure "$work/measured.yaml" --out "$file" > "$work/said" 2>&1
    predicted=$("$COPPICE" plan "$@" --ranks "$ranks" --machine "$file" --json | grep -o '"step_s": [0-9.e-]*' | sed 's/.*: //')
    launch "$ranks" "$COPPICE" train "$@" > "$work/said" 2>&1
    taken=$(median "$work/run/metrics.jsonl")
    awk -v p="$predicted" -v m="$taken" -v b="$band" 'BEGIN { exit !(m > 0 && p <= m * (1 + b / 100) && p >= m * (1 - b / 100)) }'
    verdict $? "$name: $(awk -v p="$predicted" -v m="$taken" 'BEGIN { if (m > 0) printf "%.3f s predicted, %.3f s: %+.1f %%", p, m, 100 * (p / m - 1) }')"
    rm -rf "$work/run"
}

moe='moe: {experts: 8, top_k: 2}'
compare "8 experts of 704 x 256, heads of 32" 1 "hidden: 256, ffn: 704, layers: 6, heads: 8, kv_heads: 4, $moe"
compare "8 experts of 1408 x 512" 1 "hidden: 512, ffn: 1408, layers: 4, heads: 8, kv_heads: 4, $moe"
compare "dense 2816 x 512" 1 "hidden: 512, ffn: 2816, layers: 6, heads: 8, kv_heads: 8"
compare "4 experts of 1536 x 576" 1 "hidden: 576, ffn: 1536, layers: 4, heads: 9, kv_heads: 3, moe: {experts: 4, top_k: 2}"
compare "16 experts of a quarter" 1 "hidden: 512, ffn: 1408, layers: 4, heads: 8, kv_heads: 4, moe: {experts: 16, top_k: 8, granularity: 4}"
compare "sequences of 1024" 1 "hidden: 512, ffn: 1408, layers: 4, heads: 8, kv_heads: 4, $moe" --set data.sequence=1024 --set batch.micro=1
compare "2 ranks, expert 2" 2 "hidden: 512, ffn: 1408, layers: 4, heads: 8, kv_heads: 4, $moe" --set parallel.expert=2
compare "2 ranks, tensor 2" 2 "hidden: 512, ffn: 1408, layers: 4, heads: 8, kv_heads: 4, $moe" --set parallel.tensor=2
finish
