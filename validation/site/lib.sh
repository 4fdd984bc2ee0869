# shellcheck shell=sh
# Sourced by site/run behind tap.sh: results, the launcher, trials of the machine, runs.

# ---- results ----

result() { printf '%s\n' "$*" >> "$V_OUT/tests/$V_ID"; }
good() { result ok "$*"; }
bad() { result not "$*"; }
skip() { result skip "$*"; }
note() { result note "$*"; }
figure() { result figure "$1" "$2" "$3"; } # NAME VALUE UNIT

# verdict CODE TEXT: 0 is good. In place of tap.sh's: what was said last goes to the log.
verdict() {
    if [ "$1" -eq 0 ]; then
        good "$2"
    else
        bad "$2$(why)"
        [ ! -e "$work/said" ] || tail -n 40 "$work/said"
    fi
}
# why: the first message of what was said last, for a failure
why() {
    [ -e "$work/said" ] || return 0
    whole "$work/said" | grep -m 1 '^coppice: \|^exit code\|^nobody said\|^srun: error' | cut -c 1-300 | sed 's/^/: /'
}

# ---- the launcher ----

# placed COMMAND...: on all ranks, placed as the site places them
placed() {
    # shellcheck disable=SC2086
    OMP_NUM_THREADS=$V_THREADS timeout -k 5 "${TEST_TIMEOUT:-300}" $V_LAUNCH -n "$V_RANKS" "$@"
}

# ---- trials ----

# machine PART: what `coppice machine PART` says, in $work/said; it runs once for all tests
machine() {
    said_by=$V_OUT/work/machine.$1
    if [ ! -e "$said_by.code" ]; then
        [ "$1" = fabric ] && settings=$V_GROUPS || settings=
        [ "$1" = folder ] && settings="--out $V_OUT/work"
        # shellcheck disable=SC2086
        placed "$COPPICE" machine "$1" $settings > "$said_by" 2>&1
        echo $? > "$said_by.code"
    fi
    whole "$said_by" > "$work/said"
    cat "$work/said"
    [ "$(cat "$said_by.code")" -le 1 ] && grep -q '^check' "$work/said"
}

# checks PART PATTERN: the checks of a part whose name matches become results
checks() {
    if ! machine "$1" || ! grep -q "^check $2 " "$work/said"; then
        bad "coppice machine $1 ended with $(cat "$said_by.code")$(why)"
        return
    fi
    grep "^check $2 " "$work/said" | while read -r _ name state text; do
        case $state in
        ok) good "$name: $text" ;;
        *) bad "$name: $text" ;;
        esac
    done
}

# figures PART PATTERN: figures of a part whose name matches
figures() {
    grep "^figure $2 " "$V_OUT/work/machine.$1" | while read -r _ name value unit rest; do
        result figure "$name" "$value" "$unit"
        note "$name: $rest"
    done
}

# ---- runs ----

# deck MOE: in $work/deck.yaml, on tokens from a seed
deck() {
    tokens "$work/tokens"
    { tiny "$1" "$work/tokens"; echo "checkpoint: {every: 4, keep: 3}"; echo "log: {every: 1000}"; } > "$work/deck.yaml"
}
train() { # RANKS RUN ARGUMENT...
    over=$1 into=$2
    shift 2
    launch "$over" "$COPPICE" train "$work/deck.yaml" --set "run.dir=$work/$into" "$@"
}
# curve RUN: step, loss and norm; of a step that was taken twice the last counts
curve() {
    sed -n 's/^{"step":\([0-9]*\),.*"loss":\([^,]*\),.*"grad_norm":\([^,]*\),.*/\1 \2 \3/p' "$1/metrics.jsonl" |
        awk '{ line[$1] = $0 } END { for (i = 1; i in line; i++) print line[i] }'
}
hashes() { "$COPPICE" inspect "$1" | grep '^hashes'; }
# same RUN RUN: the same curve and the same bits of weights and moments
same() {
    curve "$1" > "$work/curve.1" && curve "$2" > "$work/curve.2"
    [ -s "$work/curve.1" ] && diff "$work/curve.1" "$work/curve.2" >> "$work/said" && [ "$(hashes "$1")" = "$(hashes "$2")" ]
}
# close_to RUN RUN: losses to 1e-5 relative
close_to() {
    curve "$1" > "$work/curve.1"
    curve "$2" | paste -d " " "$work/curve.1" - | awk '
        { d = $2 / $5 - 1; if (d < 0) d = -d; if (!(d <= 1e-5)) { print "step " $1 ": " $2 " and " $5; bad = 1 } if (d > most) most = d }
        END { printf "largest difference %.1e\n", most; exit bad || NR == 0 }' >> "$work/said"
}
newest() { # RUN: its newest checkpoint
    for step in "$1"/ckpt/step_*[0-9]; do :; done
    echo "$step"
}
# flip FILE: one bit in the middle
flip() {
    middle=$(($(wc -c < "$1") / 2))
    byte=$(od -An -tu1 -j $middle -N 1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059
    printf "\\$(printf '%o' $(((byte + 128) % 256)))" | dd of="$1" bs=1 seek=$middle conv=notrunc 2> /dev/null
}
PARALLEL="--set parallel.tensor=2 --set parallel.expert=2"
