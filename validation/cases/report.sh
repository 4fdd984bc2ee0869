#!/bin/sh
# coppice report: pages of runs that have ended, go on, died, or have next to nothing; damaged files; the bundle.
. "${srcdir:-.}/validation/scripts/tap.sh"
program=$COPPICE
export OMP_NUM_THREADS=1
cd "$work" || exit 73

# nested FILE: does every tag end, in order?
nested() {
    awk 'BEGIN { RS = "<" }
         NR == 1 { next }
         { tag = $0; sub(/>.*/, "", tag); gsub(/\n/, " ", tag); if (tag ~ /^!/ || tag ~ /\/$/) next
           name = tag; sub(/ .*/, "", name)
           if (name ~ /^\//) { if (depth == 0 || "/" stack[depth--] != name) { bad = 1; exit } }
           else stack[++depth] = name }
         END { exit bad || depth != 0 }' "$1"
}
# page FILE: is it one well-formed page without scripts, links to elsewhere, or numbers that are none?
page() {
    nested "$1" || { echo "$1: tags are not nested" >> "$work/said"; return 1; }
    ! grep -qE '<script|src=|href="[^#]|@import|url\(' "$1" || { echo "$1: it needs other files" >> "$work/said"; return 1; }
    ! grep -qE '(d|x|y|x1|cx|cy|width|height)="[^"]*(nan|inf)' "$1" || { echo "$1: nan in a picture" >> "$work/said"; return 1; }
    ! command -v xmllint > /dev/null || xmllint --noout "$1" >> "$work/said" 2>&1
}
# reported WHAT RUN...: exit code 0 and a good page in r.html
reported() {
    rm -f r.html
    ends 0 "$program" report "$@" --out r.html && page r.html
}
has() {
    grep -q -e "$1" r.html || { echo "the page lacks: $1" >> "$work/said"; return 1; }
}
lacks() {
    ! grep -q -e "$1" r.html || { echo "the page has: $1" >> "$work/said"; return 1; }
}

tokens tokens
tiny 'experts: 4, top_k: 2' tokens > moe.yaml
tiny '' tokens | sed 's/, moe: {}//' > dense.yaml
"$program" train moe.yaml --set run.steps=4 --set run.profile=true > said 2>&1
"$program" train moe.yaml --set run.steps=8 --set run.profile=true >> said 2>&1
"$program" train dense.yaml --set run.steps=8 --set log.every=2 >> said 2>&1
[ -e runs/moe/metrics.jsonl ] && [ -e runs/dense/metrics.jsonl ]
verdict $? "two runs to tell about, one in two legs"

ends 0 "$program" report runs/moe && said 'report *runs/moe/report.html (1 run' && page runs/moe/report.html
verdict $? "a page in the run folder"
cp runs/moe/report.html r.html
ok=0
for title in 'Training loss' 'Training loss over FLOPs' 'Validation loss' 'Validation loss over FLOPs' 'Gradient norm' \
    'Learning rate' 'Busiest expert' 'Dropped assignments' 'Size of router logits' 'Entropy of the load' 'Load of each expert' \
    'Busiest expert of each layer' 'Throughput' 'Share of the ceiling' 'Time of a step by phase' 'Time of a step by op' \
    'Phases of a step, predicted and measured' 'Peak memory of each rank'; do
    has "<figcaption>${title}[< ]" || ok=1
done
verdict $ok "every chart is there"
has '>E4T2\|-&gt; E4T2' && has '8 of 8' && has 'leg 2 begins' && has 'nats/token' && has 'href="#checkpoints"' && has 'expected within'
verdict $? "the model, the steps, the legs, units, contents, the plan"
has '<td>model.moe.experts</td>' && has 'moe.yaml:' && lacks '<td>model.moe.shared</td>'
verdict $? "one run: the keys that were set, with their places"

reported runs/moe runs/dense && has 'Keys in which the runs differ' && has '<td>model.moe.experts</td>' && lacks '<td>data.sequence</td>' &&
    has '>moe</text>' && has '>dense</text>' && said 'r.html (2 runs'
verdict $? "two runs: overlaid, with a legend and what differs"
reported runs/moe/ ./runs/moe && has 'runs/moe</text>'
verdict $? "runs of one name are told apart by their paths"

# ---- runs in other states: copies with changes ----

# state NAME: a copy to change, in $run
state() {
    run=$work/$1
    rm -rf "$run"
    cp -r "$work/runs/moe" "$run"
}
state running
printf '{"step":9,"leg":2,"tok' >> "$run/metrics.jsonl"
sed -i 's/"finished"/"running"/' "$run/status.json"
reported "$run" && has '<td>running</td>' && lacks 'could not be read' && has '8 of 8'
verdict $? "a run that goes on: half a last line is passed over"
state died
sed -i 's/"finished"/"died"/; s/^{/{"error": "rank 3 of <node7> \& more",/' "$run/status.json"
reported "$run" && has 'class="bad">died: died: rank 3 of &lt;node7&gt; &amp; more'
verdict $? "a run that died says why"
state early
rm "$run"/metrics.jsonl "$run"/experts.jsonl "$run"/events.jsonl "$run"/plan.json "$run"/profile.json
reported "$run" && has 'has done no step yet' && lacks '<svg'
verdict $? "a run that died before its first step"
state log
find "$run" -type f ! -name run.log -exec rm {} +
reported "$run" && has 'has done no step yet'
verdict $? "a run of which only the log is left"
state one
sed -i '/"step":1,/!{/schema/!d}' "$run/metrics.jsonl" "$run/experts.jsonl"
reported "$run" && has '<figcaption>Training loss' && lacks '<figcaption>Validation loss'
verdict $? "one step, no validation"
state again
sed -n '/"step":[678],"leg"/p' "$run/metrics.jsonl" | sed 's/"leg":2/"leg":3/' > again.lines
cat again.lines >> "$run/metrics.jsonl"
reported "$run" && has '3 steps were done again' && has 'leg 3 begins'
verdict $? "steps that were done again count once"
state bad
echo '{"step":9,"leg":2,"tokens":1024,"samples":[64,71],"follows":"skip","bad":true,"loss":null,"grad_norm":null,"tensor":null}' >> "$run/metrics.jsonl"
echo '{"event":"bad step","step":9,"time":1,"follows":"skip"}' >> "$run/events.jsonl"
reported "$run" && has 'bad step 9: skip' && has '<td>bad step</td>'
verdict $? "a bad step has a mark and a row"
state scores
for step in 4 8; do
    echo "{\"step\":$step,\"tokens\":$((step * 128)),\"task\":\"arc\",\"items\":20,\"acc\":0.2$step,\"acc_stderr\":0.05,\"acc_norm\":0.3}"
done >> "$run/metrics.jsonl"
reported "$run" && has '<figcaption>arc, acc[< ]' && has '<figcaption>arc, acc_norm[< ]' && has '<td class="n">0.2400</td>' && has '0.2800 ± 0.0500' &&
    lacks acc_stderr
verdict $? "scores of tasks between the steps"
name='a <b> & "c" $(d)'
rm -rf "$name"
cp -r runs/moe "$name"
reported "$name" runs/dense && has 'a &lt;b&gt; &amp; &quot;c&quot; '
verdict $? "a folder with a name that is no HTML"

awk 'BEGIN { print "{\"schema\":\"coppice.metrics\",\"version\":1}"
    for (i = 1; i <= 20000; i++)
        printf "{\"step\":%d,\"leg\":1,\"tokens\":%d,\"loss\":%.4f,\"grad_norm\":%.3f,\"tokens_per_s\":1000,\"model_tflops\":0.1,\"step_ms\":10}\n",
            i, 128 * i, i == 7777 ? 9 : 2 + 3 * exp(-i / 4000) + i % 7 / 50, i == 100 ? 500 : 1 }' > long.lines
state long
mv long.lines "$run/metrics.jsonl"
rm "$run"/experts.jsonl
reported "$run" && [ "$(wc -c < r.html)" -lt 250000 ] && has '>9</text>' && has '2.56 M'
verdict $? "20,000 steps: less than 250 kB, and the one high loss is not lost"

# ---- what cannot be read is left out, and named ----

# damaged FILE MESSAGE: after $run's file was changed
damaged() {
    reported "$run" && said "$2" && has 'What could not be read' && has "$1"
    verdict $? "$1: $2"
}
# line FILE MESSAGE TEXT: this text as its third line
line() {
    state damaged
    { sed -n 1,2p "$work/runs/moe/$1"; printf '%b\n' "$3"; sed 1,2d "$work/runs/moe/$1"; } > "$run/$1"
    damaged "$1" "$2"
    has '8 of 8' || verdict 1 "the other lines of $1 count"
}
line metrics.jsonl 'metrics.jsonl:3:[0-9]*: not valid JSON' '{"step":2,"leg"'
line metrics.jsonl 'metrics.jsonl:3:[0-9]*: not valid JSON' '{"step":1,"step":2,"tokens":5,"loss":1}'
line metrics.jsonl 'metrics.jsonl:3:[0-9]*: not valid JSON' '{"step":2,"tokens":1e999,"loss":1}'
line metrics.jsonl 'metrics.jsonl:3:[0-9]*: not valid JSON' '{"step":2,"tokens":5,"loss":NaN}'
line metrics.jsonl 'metrics.jsonl:3:[0-9]*: not valid JSON' '{"step":2,"set":"\0377\0376","tokens":1}'
line metrics.jsonl 'metrics.jsonl:3: it is no JSON object' '[1, 2, 3]'
line metrics.jsonl 'metrics.jsonl:3: it has no step and tokens' '{"loss":1.5}'
line metrics.jsonl 'metrics.jsonl:3: it has no step and tokens' '{"step":"two","tokens":5,"loss":1}'
line metrics.jsonl 'metrics.jsonl:3: it has no step and tokens' '{"step":-2,"tokens":5,"loss":1}'
line metrics.jsonl 'metrics.jsonl:3: it has no step and tokens' '{"step":1e300,"tokens":5,"loss":1}'
line metrics.jsonl 'nested deeper than 16' "$(awk 'BEGIN { printf "{\"a\":"; for (i = 0; i < 40; i++) printf "["; for (i = 0; i < 40; i++) printf "]"; print "}" }')"
line experts.jsonl 'experts.jsonl:3: it has no step, or counts that do not fit' '{"step":2,"counts":[[1,2,3,4]]}'
line experts.jsonl 'experts.jsonl:3: it has no step, or counts that do not fit' '{"step":2,"counts":[[1,2,3,4],[1,2,"x",4]]}'
line experts.jsonl 'experts.jsonl:3: it has no step, or counts that do not fit' '{"step":2,"counts":[[1,2,3,4],[1,2,-3,4]]}'
line experts.jsonl 'experts.jsonl:3: it has no step, or counts that do not fit' '{"step":2}'
line events.jsonl 'events.jsonl:3:[0-9]*: not valid JSON' 'leg 1'
state damaged
sed -i '1s/"version":1/"version":2/' "$run/metrics.jsonl"
damaged metrics.jsonl 'metrics.jsonl:1: it is of a version that this program does not know'
for file in status.json plan.json profile.json certificate.json; do
    state damaged
    echo '{"state": "fin' > "$run/$file"
    damaged "$file" "$file:[0-9]*:[0-9]*: not valid JSON"
    echo '[]' > "$run/$file"
    damaged "$file" "$file: it is no JSON object"
done
state damaged
for file in status.json plan.json profile.json certificate.json; do
    echo '{"ops": [1, {"op": 2}], "phases_s": {"a": 1, "b": {"predicted": "x"}}, "gain": [], "state": 5, "band": {}, "steps": -1}' > "$run/$file"
done
printf 'a\n  b: c\n:\n- x\n    deep: 1  # d\n\n \nrun:\n  steps: \377\n' > "$run/resolved.yaml"
echo '{"event":"memory","peak_rss_bytes":[1,"x",null],"predicted_rss_bytes":7}' >> "$run/events.jsonl"
echo '{"event":"checkpoint","step":"x","time":1e18,"bytes":-1}' >> "$run/events.jsonl"
echo '{"event":7,"a":"b\tc\nd"}' >> "$run/events.jsonl"
reported "$run"
verdict $? "values of other kinds than they should be"
state damaged
head -c 3000 /dev/urandom > "$run/metrics.jsonl"
head -c 3000 /dev/zero > "$run/experts.jsonl"
reported "$run"
verdict $? "files of any bytes"

# ---- what is refused ----

# refused CODE MESSAGE ARGUMENT...
refused() {
    code=$1 message=$2
    shift 2
    ends "$code" "$program" report "$@" && said "$message"
    verdict $? "$code: $message"
}
mkdir empty
refused 64 'needs one or more run folders'
refused 64 'x.txt does not end in .html' runs/moe --out x.txt
refused 64 'x.zip does not end in .tar.gz, .tgz or .tar' runs/moe --bundle x.zip
refused 65 'nowhere: there is no such run folder' nowhere
refused 65 'empty: it is no run folder' empty runs/moe
refused 65 'moe.yaml: it is no run folder' moe.yaml
refused 73 'cannot be created' runs/moe --out no/x.html
COPPICE_FAIL=pwrite:0:1:ENOSPC refused 73 'No space' runs/moe --out x.html
[ ! -e x.html ] && [ ! -e x.html.tmp ]
verdict $? "... and nothing is left"

# ---- the bundle ----

sed -i 's|moe.yaml:[0-9]*:[0-9]*|moe.yaml:1:1|; s|# default|# /etc/passwd:1:1|' runs/moe/resolved.yaml
mkdir -p runs/moe/hang
echo 'rank 1: attn_fwd' > runs/moe/hang/rank-1.txt
ends 0 "$program" report runs/moe runs/dense --bundle b.tar && tar -tf b.tar > list && [ "$(sort list | uniq -d | wc -l)" -eq 0 ]
verdict $? "a bundle that tar reads"
ok=0
for file in report.html environment.json run-1/resolved.yaml run-1/run.log run-1/status.json run-1/metrics.jsonl run-1/events.jsonl \
    run-1/experts.jsonl run-1/plan.json run-1/profile.json run-1/hang/rank-1.txt run-1/decks/1-moe.yaml run-2/metrics.jsonl run-2/decks/1-dense.yaml; do
    grep -qx "$file" list || { echo "no $file" >> said; ok=1; }
done
! grep -q 'passwd\|ckpt/step\|tokens' list || ok=1
verdict $ok "... with report, environment, decks, logs, metrics and plan; nothing else"
mkdir -p out && tar -xf b.tar -C out && cmp out/run-1/metrics.jsonl runs/moe/metrics.jsonl && cmp out/run-1/decks/1-moe.yaml moe.yaml && page out/report.html &&
    grep -q '"libraries"' out/environment.json && [ ! -e runs/dense/report.html ]
verdict $? "... as they are"
if "$program" env | tr -d '\n' | grep -q 'no zlib'; then verdict 0 "packed # SKIP no zlib"; else
    ends 0 "$program" report runs/moe --bundle b.tar.gz && gzip -t b.tar.gz && gzip -dc b.tar.gz | tar -tf - | grep -qx run-1/run.log
    verdict $? "packed"
fi
long=$(awk 'BEGIN { while (i++ < 90) printf "x" }')
mkdir -p "$long/$long" && cp -r runs/moe "$long/$long/" && cp moe.yaml "$long/$long.yaml" &&
    sed -i "s|# [^ ]*moe.yaml:|# $long/$long.yaml:|" "$long/$long/moe/resolved.yaml" &&
    ends 0 "$program" report "$long/$long/moe" --bundle l.tar && tar -tf l.tar | grep -qx "run-1/decks/1-$long.yaml"
verdict $? "a name of more than 100 characters"
printf '<html><p>x</div></html>' > planted.html
! nested planted.html
verdict $? "a tag that does not end is seen"
finish
