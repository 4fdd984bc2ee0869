#!/bin/sh
# coppice eval: kinds of tasks, layouts, what is refused; log-likelihoods against those of probe.
. "${srcdir:-.}/validation/scripts/tap.sh"
(cd "$work" && "$builddir/validation/unit/t_tokenizer" write) > "$work/kinds"
tokenizer=$work/$(grep gpt2 "$work/kinds")
cat > "$work/model.yaml" << 'YAML'
start: random
model: {hidden: 32, ffn: 48, layers: 2, heads: 4, kv_heads: 2, vocab: 280, tied: false, moe: {experts: 4, top_k: 2}}
data: {sequence: 30, train: [text]}
batch: {sequences: 1, micro: 1}
run: {steps: 1}
YAML
ends 0 "$COPPICE" upcycle "$work/model.yaml" --out "$work/model"
verdict $? "a model to score"

# score ARGUMENT...: on one rank
score() {
    ends 0 "$COPPICE" eval "$work/model" --tokenizer "$tokenizer" "$@"
}
# number NAME: the value behind it in what was said
number() {
    sed -n "s/.* $1 \([0-9.]*\).*/\1/p" "$work/said" | head -n 1
}
# near A B: within 1e-4
near() {
    awk "BEGIN {d = $1 - $2; exit !($1 != 0 && d < 1e-4 && -d < 1e-4)}" ||
        { echo "$1, not $2" >> "$work/said"; return 1; }
}

# ---- a text: the loss of probe on the same tokens ----

text='the hello of the other 1234 th there, hello!'
printf '{"text": "%s"}\n' "$text" > "$work/text.jsonl"
"$COPPICE" tokenize --tokenizer "$tokenizer" --no-eod --out "$work/text" "$work/text.jsonl" > /dev/null
n=$(($(wc -c < "$work/text.bin") / 2))
ends 0 "$COPPICE" probe "$work/model.yaml" --set "data.sequence=$((n - 1))"
loss=$(sed -n 's/.*cross_entropy \([0-9.]*\).*/\1/p' "$work/said")
score --task "$work/text.jsonl" && said 'bits_per_byte' && near "$(number loss)" "$loss"
verdict $? "a text: loss $loss, which probe finds too"

# ---- choices and last words ----

cat > "$work/choice.jsonl" << 'JSON'
{"query": "Question: the hello?", "choices": ["there", "hello hello", "o"], "gold": 1}
{"query": "Question: 12?", "choices": ["34", "5"], "gold": 0}

{"query": "Question: \u00e9?", "choices": ["th", "\u00e9", "the"], "gold": "th"}
JSON
cat > "$work/word.jsonl" << 'JSON'
{"context": "the hello of the ", "continuation": "other"}
{"context": "12", "continuation": "34"}
JSON
cat > "$work/anatomy_test.csv" << 'CSV'
question,choice0,choice1,choice2,choice3,answer
"the ""hello"",
there",a,b,c,d,2
hello,12,"1,2",3,4,A
CSV
score --task "$work/choice.jsonl" --task "$work/word.jsonl" --task "$work/anatomy_test.csv" --out "$work/items" &&
    said '^choice  *3 .*acc .*acc_norm ' && said '^word  *2 .*perplexity' && said '^anatomy_test  *2 ' &&
    [ "$(wc -l < "$work/items")" -eq 7 ] && grep -q '"task":"choice","item":2,.*"gold":0' "$work/items" &&
    grep -q '"task":"anatomy_test","item":1,.*"gold":0' "$work/items" && [ "$(grep -c '"greedy":false' "$work/items")" -eq 2 ]
verdict $? "multiple choice, last words, CSV: a line for each question"
cp "$work/items" "$work/first"
test_ranks 4 1 &&
    { rm "$work/items"
      ends 0 launch 4 "$COPPICE" eval "$work/model" --tokenizer "$tokenizer" --task "$work/choice.jsonl" --task "$work/word.jsonl" \
          --task "$work/anatomy_test.csv" --out "$work/items" --set parallel.tensor=2 --set parallel.expert=2 --set device.check=hidden
      [ "$(wc -l < "$work/items")" -eq 7 ] && awk 'NR == FNR {a[FNR] = $0; next}
          {n = split(a[FNR], x, /[][,:}]/); split($0, y, /[][,:}]/)
           for (i = 1; i <= n; i++) {d = x[i] - y[i]; if (d > 1e-4 || d < -1e-4 || (x[i] + 0 == 0 && x[i] != y[i])) exit 1}}' \
          "$work/first" "$work/items"
      verdict $? "four ranks, TP 2 x EP 2, hidden memory: the same log-likelihoods"; }

# A sum over a choice's tokens is what it adds to the loss of a longer text: log P(ab) = log P(a) + log P(b | a).
printf '{"text": "Question: 12?\\nAnswer:"}\n' > "$work/a.jsonl"
printf '{"text": "Question: 12?\\nAnswer: 34"}\n' > "$work/ab.jsonl"
printf '{"text": "Question: 12?\\nAnswer: 5"}\n' > "$work/ac.jsonl"
rm -f "$work/items"
score --task "$work/a.jsonl" --task "$work/ab.jsonl" --task "$work/ac.jsonl" --out "$work/items"
a=$(sed -n '1s/.*\[\(.*\)\].*/\1/p' "$work/items") ab=$(sed -n '2s/.*\[\(.*\)\].*/\1/p' "$work/items")
ac=$(sed -n '3s/.*\[\(.*\)\].*/\1/p' "$work/items")
near "$(sed -n '2s/.*\[\([^,]*\),.*/\1/p' "$work/first")" "$(awk "BEGIN {printf \"%.6f\", $ab - $a}")" &&
    near "$(sed -n '2s/.*,\([^,]*\)\].*/\1/p' "$work/first")" "$(awk "BEGIN {printf \"%.6f\", $ac - $a}")"
verdict $? "a choice's log-likelihood is the difference of two texts', where their beginning was computed once"

# A run that knows the text by heart: its end is the likeliest one, another is not.
ends 0 "$COPPICE" train "$work/model.yaml" --set "run.dir=$work/run" --set "data.sequence=$((n - 1))" --set run.steps=60 \
    --set optimizer.lr=0.02 --set optimizer.schedule=constant
cat > "$work/ends.jsonl" << 'JSON'
{"context": "the hello of the other 1234 th there,", "continuation": "hello!"}
{"context": "the hello of the other 1234 th there,", "continuation": "there!"}
JSON
rm -f "$work/items"
ends 0 "$COPPICE" eval "$work/run" --tokenizer "$tokenizer" --task "$work/ends.jsonl" --out "$work/items" && said 'acc 0.5000' &&
    grep -q '"item":0,.*"greedy":true' "$work/items" && grep -q '"item":1,.*"greedy":false' "$work/items"
verdict $? "a run that knows the text by heart: the last word is the likeliest, another is not"

# ---- between the steps of training ----

printf '{"text": "%s %s %s %s"}\n' "$text" "$text" "$text" "$text" > "$work/long.jsonl"
"$COPPICE" tokenize --tokenizer "$tokenizer" --no-eod --out "$work/long" "$work/long.jsonl" > /dev/null
# trained RANKS RUN ARGUMENT...: six steps, tasks every three
trained() {
    on=$1 run=$2
    shift 2
    launch "$on" "$COPPICE" train "$work/model.yaml" --set "run.dir=$work/$run" --set "data.train=[$work/long]" --set data.sequence=64 \
        --set run.steps=6 --set eval.every=3 \
        --set "eval.tasks=[$work/choice.jsonl, $work/word.jsonl]" --set "eval.tokenizer=$tokenizer" "$@"
}
# task_lines RUN: name, step, acc
task_lines() {
    sed -n 's/^{"step":\([0-9]*\),.*"task":"\([a-z]*\)",.*"acc":\([0-9.]*\).*/\2 \1 \3/p' "$work/$1/metrics.jsonl"
}
ends 0 trained 1 asked && said '^  task  choice  *3   acc ' && [ "$(task_lines asked | wc -l)" -eq 6 ] &&
    ends 0 "$COPPICE" eval "$work/asked" --tokenizer "$tokenizer" --task "$work/choice.jsonl" --json &&
    said "\"acc\": $(task_lines asked | sed -n 's/choice 6 \([0-9.]*\).*/\1/p')"
verdict $? "eval.tasks: before, between and behind the steps; the last as eval has it"
test_ranks 4 1 &&
    { ends 0 trained 4 asked4 --set batch.sequences=2 --set parallel.tensor=2 --set parallel.expert=2 --set device.check=hidden &&
          [ "$(task_lines asked4 | wc -l)" -eq 6 ] && [ "$(task_lines asked | head -n 2)" = "$(task_lines asked4 | head -n 2)" ]
      verdict $? "eval.tasks on four ranks: the same answers before the first step"; }
ends 0 trained 1 asked --set run.steps=9 && [ "$(task_lines asked | tail -n 1 | cut -d ' ' -f 2)" -eq 9 ]
verdict $? "eval.tasks go on after a restart"

# ---- examples, limits, descriptions ----

rm -f "$work/items"
score --task "$work/choice.jsonl" --shots 1 --out "$work/items" && said '^choice  *2 ' && [ "$(wc -l < "$work/items")" -eq 2 ]
verdict $? "--shots: the first question is an example"
score --task "$work/choice.jsonl" --limit 1 && said '^choice  *1 '
verdict $? "--limit"
cat > "$work/own.json" << 'JSON'
{"kind": "choice", "data": "choice.jsonl", "prompt": "{query}\nAnswer:", "delimiter": " ", "gold": "gold"}
JSON
rm -f "$work/items"
score --task "$work/own.json" --out "$work/items" && sed 's/"own"/"choice"/' "$work/items" > "$work/as_own" && head -n 3 "$work/first" | cmp - "$work/as_own"
verdict $? "a description that says what the fields say gives the same"
score --task "$work/choice.jsonl" --json && said '"acc":'
verdict $? "--json"

# ---- what is refused ----

# refused CODE MESSAGE WHAT ARGUMENT...
refused() {
    code=$1 message=$2 what=$3
    shift 3
    ends "$code" "$COPPICE" eval "$@" && said "$message" && [ "$(grep -c '^coppice: ' "$work/said")" -eq 1 ]
    verdict $? "$what: exit code $code"
}
with="--tokenizer $tokenizer"
bad() { # LINE: a task of this line
    printf '%s\n' "$1" > "$work/bad.jsonl"
}
# shellcheck disable=SC2086
{
    refused 64 "needs --task" "no task" "$work/model" $with
    refused 64 "give one model" "no model" $with --task "$work/word.jsonl"
    refused 65 "no tokenizer\|tokenizer.json" "no tokenizer" "$work/model" --task "$work/word.jsonl"
    refused 64 "exists" "an --out that exists" "$work/model" $with --task "$work/word.jsonl" --out "$work/items"
    bad '{"query": "a", "choices": ["b", "c"], "gold": 2}'
    refused 65 'bad.jsonl:1: "gold" names none of the 2' "a gold beyond the choices" "$work/model" $with --task "$work/bad.jsonl"
    bad '{"query": "a", "choices": ["b"], "gold": 0}'
    refused 65 'list of two texts' "one choice" "$work/model" $with --task "$work/bad.jsonl"
    bad '{"query": 7, "choices": ["b", "c"], "gold": 0}'
    refused 65 '"query" is missing, or no text' "a query that is a number" "$work/model" $with --task "$work/bad.jsonl"
    bad '{"query": "a", "choices": ["b", "c"]'
    refused 65 'bad.jsonl:1' "broken JSON" "$work/model" $with --task "$work/bad.jsonl"
    bad '{"q": "a"}'
    refused 65 'which task this is' "unknown fields" "$work/model" $with --task "$work/bad.jsonl"
    bad ''
    refused 65 'no questions' "an empty file" "$work/model" $with --task "$work/bad.jsonl"
    printf 'question,choice0,choice1,choice2,choice3,answer\na,b,c\n' > "$work/bad.csv"
    refused 65 'bad.csv:2: 3 columns where the header has 6' "a short row" "$work/model" $with --task "$work/bad.csv"
    printf 'question,choice0,choice1,choice2,choice3,answer\n"a,b,c\n' > "$work/bad.csv"
    refused 65 'has no end' "a quote without an end" "$work/model" $with --task "$work/bad.csv"
    refused 64 'no multiple-choice task' "examples for a text" "$work/model" $with --task "$work/text.jsonl" --shots 1
    refused 65 'it has 3 rows' "more examples than rows" "$work/model" $with --task "$work/choice.jsonl" --shots 4
    ends 65 "$COPPICE" deck check "$work/model.yaml" --set "data.train=[$work/long]" --set "eval.tasks=[$work/bad.csv]" --set "eval.tokenizer=$tokenizer" &&
        said 'eval.tasks: .*bad.csv:2: '
    verdict $? "deck check reads eval.tasks: exit code 65"
    ends 64 "$COPPICE" deck check "$work/model.yaml" --set "data.train=[$work/long]" --set "eval.tasks=[$work/choice.jsonl]" && said 'name one with eval.tokenizer'
    verdict $? "eval.tasks without a tokenizer: exit code 64"
    refused 64 'gives parallel.tensor\|parallel.tensor' "a layout that does not fit" "$work/model" $with --task "$work/word.jsonl" --set parallel.tensor=3
}
finish
