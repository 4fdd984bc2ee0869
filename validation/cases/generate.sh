#!/bin/sh
# coppice generate: texts that a model knows by heart, layouts, draws, where a text ends, what is refused.
. "${srcdir:-.}/validation/scripts/tap.sh"
(cd "$work" && "$builddir/validation/unit/t_tokenizer" write) > "$work/kinds"
tokenizer=$work/$(grep gpt2 "$work/kinds")
cat > "$work/model.yaml" << 'YAML'
start: random
model: {hidden: 32, ffn: 48, layers: 2, heads: 4, kv_heads: 2, vocab: 280, tied: false, max_positions: 64, moe: {experts: 4, top_k: 2}}
batch: {sequences: 1, micro: 1}
run: {steps: 60}
optimizer: {lr: 0.02, schedule: constant}
YAML
text='the hello of the other 1234 th there, Émile! And then all the rest.'
printf '{"text": "%s"}\n' "$text" > "$work/text.jsonl"
"$COPPICE" tokenize --tokenizer "$tokenizer" --no-eod --out "$work/text" "$work/text.jsonl" > /dev/null
n=$(($(wc -c < "$work/text.bin") / 2))
ends 0 "$COPPICE" train "$work/model.yaml" --set "run.dir=$work/run" --set "data.train=[$work/text]" --set "data.sequence=$((n - 1))"
verdict $? "a run that knows a text of $n tokens by heart"

# goes_on ARGUMENT...: by that run, on one rank
goes_on() {
    ends 0 "$COPPICE" generate "$work/run" --tokenizer "$tokenizer" "$@"
}
# is TEXT: was this said, and nothing else?
is() {
    printf '%s\n' "$1" | cmp - "$work/said" > "$work/differs" 2>&1 || { cat "$work/differs" >> "$work/said"; return 1; }
}

# ---- one text ----

goes_on --prompt "the hello" --tokens 35 && case "$text" in "$(cat "$work/said")"*) [ "$(wc -c < "$work/said")" -gt 50 ] ;; *) false ;; esac
verdict $? "the likeliest tokens: the text, and nothing else on stdout"
goes_on --prompt "the hello" --tokens 4 && is "the hello of the"
verdict $? "--tokens 4"
goes_on --prompt "the hello of the other 1234 th there," --tokens 3 && is "the hello of the other 1234 th there, É"
verdict $? "a character of two tokens"
goes_on --prompt "the hello of the other 1234 th there," --tokens 3 --json && said '"text": " É"' && said '"prompt_tokens": ' &&
    said '"stop": "tokens"'
verdict $? "--json"
goes_on --prompt "the hello" --quiet && [ ! -s "$work/said" ]
verdict $? "--quiet"

# ---- several texts ----

printf 'the hello of\n\nthe hello of the other 1234 th\nthe\n' > "$work/lines"
printf '{"q": "the hello"}\n{"q": "the hello of the"}\n' > "$work/lines.jsonl"
goes_on --prompts "$work/lines" --tokens 3 --out "$work/out" &&
    is "$(printf '==> 1 of 3 <==\nthe hello of the o\n\n==> 2 of 3 <==\nthe hello of the other 1234 th there\n\n==> 3 of 3 <==\nthe hell')" &&
    [ "$(wc -l < "$work/out")" -eq 3 ] && sed -n 2p "$work/out" | grep -q '"prompt":"the hello of the other 1234 th","text":" there"'
verdict $? "--prompts: one a line; --out: a line each"
goes_on --prompts "$work/lines.jsonl" --field q --prompt the --tokens 2 && said '^the hello of the o$' && said '^==> 3 of 3'
verdict $? "--prompts: JSON lines, behind a --prompt"
cp "$work/out" "$work/first"
awk 'BEGIN {for (i = 0; i < 40; i++) print i % 3 ? "the hello of" : "the"}' > "$work/many"
goes_on --prompts "$work/many" --tokens 3 --out "$work/many.jsonl" && [ "$(sort -u "$work/many.jsonl" | wc -l)" -eq 2 ] &&
    [ "$(wc -l < "$work/many.jsonl")" -eq 40 ]
verdict $? "more texts than a rank works at once"

# ---- draws and layouts ----

# draws SEED FILE: three texts
draws() {
    rm -f "$2"
    goes_on --prompts "$work/lines" --tokens 20 --temperature 3 --top-p 0.95 --seed "$1" --out "$2"
}
draws 1 "$work/one" && draws 1 "$work/again" && draws 2 "$work/two" && cmp "$work/one" "$work/again" && ! cmp -s "$work/one" "$work/two"
verdict $? "a seed gives the same texts again, another seed others"
# layout RANKS WHAT ARGUMENT...
layout() {
    ranks=$1 what=$2
    shift 2
    test_ranks "$ranks" 1 || return
    rm -f "$work/out" "$work/drawn"
    ends 0 launch "$ranks" "$COPPICE" generate "$work/run" --tokenizer "$tokenizer" --prompts "$work/lines" --tokens 3 \
        --out "$work/out" "$@" && cmp "$work/first" "$work/out" && said '^==> 3 of 3 <==' &&
        ends 0 launch "$ranks" "$COPPICE" generate "$work/run" --tokenizer "$tokenizer" --prompts "$work/lines" --tokens 20 \
            --temperature 3 --top-p 0.95 --quiet --out "$work/drawn" "$@" && cmp "$work/one" "$work/drawn"
    verdict $? "ranks: $ranks, $what: the same texts"
}
layout 4 "TP 2 x EP 2, hidden memory" --set parallel.tensor=2 --set parallel.expert=2 --set device.check=hidden
layout 4 "DP 4 x EP 4, a rank without a text" --set parallel.expert=4
layout 2 "expert tensor 2" --set parallel.expert_tensor=2
cuda=$builddir/validation/cuda-on-cpu/coppice
if [ -x "$cuda" ]; then
    rm -f "$work/out"
    ends 0 env OMP_NUM_THREADS=1 "$cuda" generate "$work/run" --tokenizer "$tokenizer" --prompts "$work/lines" --tokens 3 --out "$work/out" \
        --set device.type=cuda && cmp "$work/first" "$work/out"
    verdict $? "CUDA: the same texts"
    rm -f "$work/out"
    ends 0 env OMP_NUM_THREADS=1 "$cuda" generate "$work/run" --tokenizer "$tokenizer" --prompts "$work/lines" --tokens 3 --out "$work/out" \
        --set device.type=cuda --set device.precision=bf16 && cmp "$work/first" "$work/out"
    verdict $? "CUDA, bf16: the same texts of what is known by heart"
else
    verdict 0 "CUDA # SKIP no C++ compiler"
    verdict 0 "CUDA, bf16 # SKIP no C++ compiler"
fi
rm -f "$work/out"
goes_on --prompts "$work/lines" --tokens 3 --out "$work/out" --set device.precision=bf16 && cmp "$work/first" "$work/out"
verdict $? "bf16: the same texts of what is known by heart"

# ---- ends ----

"$COPPICE" export "$work/run" --out "$work/hf" > /dev/null 2>&1
cp "$tokenizer" "$work/hf/tokenizer.json"
there=$(awk 'BEGIN {printf "the hello of the other 1234 th there"}' | "$COPPICE" tokenize --tokenizer "$tokenizer" --no-eod --out "$work/there" - > /dev/null &&
    tail -c 2 "$work/there.bin" | od -An -tu2 | tr -d ' ')
printf '{"eos_token_id": [7, %s]}\n' "$there" > "$work/hf/generation_config.json"
ends 0 "$COPPICE" generate "$work/hf" --prompt "the hello of the other 1234 th" --json && said '"stop": "end"' && said '"text": " there"'
verdict $? "a directory; a token of generation_config.json ends the text"
ends 0 "$COPPICE" generate "$work/hf" --prompt "" --tokens 1 --json && said '"prompt_tokens": 1'
verdict $? "an empty prompt begins with the token that begins or ends a text"
rm "$work/hf/generation_config.json"
ends 0 "$COPPICE" generate "$work/hf" --prompt "And then all" --prompt "all the rest. the hello" --tokens 200 --json &&
    said '"stop": "positions"' && said 'ended at the model.s 64 positions'
verdict $? "a text ends at the model's positions"

# ---- what is refused ----

# refused CODE MESSAGE WHAT ARGUMENT...
refused() {
    code=$1 message=$2 what=$3
    shift 3
    ends "$code" "$COPPICE" generate "$@" && said "$message" && [ "$(grep -c '^coppice: ' "$work/said")" -eq 1 ]
    verdict $? "$what: exit code $code"
}
: > "$work/empty"
printf '{"text": 1}\n' > "$work/bad.jsonl"
refused 64 "needs --prompt" "no prompt" "$work/hf"
refused 64 "give one model" "no model" --prompt a
refused 64 "no effect" "a seed for the likeliest token" "$work/hf" --prompt a --seed 3
refused 64 "top-p: expected" "a top-p above 1" "$work/hf" --prompt a --top-p 1.5
refused 64 "expected a number from 0" "a temperature that is no number" "$work/hf" --prompt a --temperature hot
refused 65 "no texts" "an empty file" "$work/hf" --prompts "$work/empty"
refused 65 'bad.jsonl:1: .*no text "text"' "JSON lines without the field" "$work/hf" --prompts "$work/bad.jsonl"
refused 65 "missing" "a file that is not there" "$work/hf" --prompts "$work/missing"
refused 64 "more than the model's 64 positions" "a prompt that is too long" "$work/hf" \
    --prompt "$(awk 'BEGIN {for (i = 0; i < 70; i++) printf "x "}')"
refused 64 "prompt 1: byte 1 .* is not UTF-8" "a prompt that is not UTF-8" "$work/hf" --prompt "$(printf 'a\377')"
refused 64 "names no folder with a tokenizer" "no tokenizer" "$work/run" --prompt a
refused 64 'parallel.tensor' "a layout that does not fit" "$work/hf" --prompt a --set parallel.tensor=3
finish
