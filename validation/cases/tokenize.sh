#!/bin/sh
# coppice tokenize: kinds of input, options, what is refused; the files byte by byte; training on them.
. "${srcdir:-.}/validation/scripts/tap.sh"
program=$COPPICE
(cd "$work" && "$builddir/validation/unit/t_tokenizer" write) > "$work/kinds"
tokenizer=$work/$(grep gpt2 "$work/kinds")

# tokenize WHAT NAME ARGUMENT...: to $work/NAME, exit code 0
tokenize() {
    name=$1
    shift
    ends 0 "$program" tokenize --tokenizer "$tokenizer" --out "$work/$name" "$@"
}
# bin NAME NUMBER...: are these the tokens?
bin() {
    name=$1
    shift
    got=$(od -An -v -tu2 "$work/$name.bin" | tr -s ' \n' ' ' | sed 's/^ //; s/ $//')
    [ "$got" = "$*" ] || { echo "$name.bin: $got, not $*" >> "$work/said"; return 1; }
}
# idx NAME NUMBER...: the .idx file as numbers of 4 bytes behind the 2 that fill its first 34 up
idx() {
    name=$1
    shift
    got=$( (printf 'xx'; cat "$work/$name.idx") | od -An -v -tu4 | tr -s ' \n' ' ' | sed 's/^ //; s/ $//')
    [ "$got" = "$*" ] || { echo "$name.idx: $got, not $*" >> "$work/said"; return 1; }
}
same() {
    cmp "$work/$1.bin" "$work/$2.bin" && cmp "$work/$1.idx" "$work/$2.idx"
}

printf 'the hello' > "$work/a.txt"
tokenize a "$work/a.txt" --eod '<|end|>' && said '1 document, 7 tokens' && said 'ends with <|end|>' && bin a 116 257 32 257 259 111 269
verdict $? "a text is a document, ended by the token that is asked for"
printf 'ab\n\n \t\n\nthe\r\nb\r\n\r\n' > "$work/b.txt"
tokenize b "$work/b.txt" --split-blank --no-eod && bin b 97 98 116 257 13 10 98 &&
    idx b $((0x4d4d7878)) $((0x44494449)) $((0x01000058)) 0 $((0x08000000)) 2 0 3 0 2 5 0 0 4 0 0 0 1 0 2 0
verdict $? "blank lines cut; no end token"

cat > "$work/l.jsonl" << 'JSON'
{"id": 12345678901234567890, "text": "the hello", "deep": [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}

{"text": "", "body": "b"}
{"text": "a\u0000\nb\u00e9 <|end|>", "body": "c"}
{"text": "12 3", "body": "d"}
JSON
tokenize l "$work/l.jsonl" --eod 269 && said '3 documents, 18 tokens' && said '1 document left out' &&
    bin l 116 257 32 257 259 111 269 97 0 10 98 265 32 269 261 32 51 269
verdict $? "JSON lines: escapes, blank lines, an empty document, an end token that is there already"
tokenize body "$work/l.jsonl" --eod 269 --field body
verdict $((! $?)) "a field that a line does not have is refused"
said "l.jsonl:1: it has no text \"body\"; --field" && [ ! -e "$work/body.bin" ] && [ ! -e "$work/body.bin.tmp" ]
verdict $? "... with file and line, and nothing is left"
sed 1d "$work/l.jsonl" > "$work/m.jsonl"
tokenize body "$work/m.jsonl" --field body --no-eod && bin body 98 99 100
verdict $? "--field"

gzip -c "$work/l.jsonl" > "$work/l.jsonl.gz"
if "$program" env | tr -d '\n' | grep -q 'no zlib'; then verdict 0 "gzip # SKIP no zlib"; else
    tokenize gz "$work/l.jsonl.gz" --eod 269 && same l gz
    verdict $? "gzip"
fi
head -c 60 "$work/l.jsonl.gz" > "$work/cut.jsonl.gz"
ends 65 "$program" tokenize --tokenizer "$tokenizer" --out "$work/x" --eod 269 "$work/cut.jsonl.gz" && said 'cut.jsonl.gz: it is cut short\|lacks that library' &&
    [ ! -e "$work/x.bin" ] && [ ! -e "$work/x.bin.tmp" ]
verdict $? "gzip that is cut short: 65, and nothing is left"
if command -v zstd > /dev/null && ! "$program" env | tr -d '\n' | grep -q 'no zstd'; then
    zstd -q "$work/l.jsonl" && tokenize zst "$work/l.jsonl.zst" --eod 269 && same l zst
    verdict $? "zstd"
else verdict 0 "zstd # SKIP there is none"; fi
"$program" tokenize --tokenizer "$tokenizer" --out "$work/in" --eod 269 --field text - < "$work/l.jsonl" > "$work/said" 2>&1 && same l in
verdict $? "standard input"

awk 'BEGIN { for (i = x = 1; i <= 6000; i++) { x = x * 75 % 65537; printf "{\"text\": \"%d the and %d hello %s\"}\n", x, i, x % 7 ? "the" : "caf\303\251" } }' > "$work/many.jsonl"
OMP_NUM_THREADS=1 tokenize one "$work/many.jsonl" --eod 269 && OMP_NUM_THREADS=3 tokenize three "$work/many.jsonl" --eod 269 && same one three
verdict $? "the same bytes by one thread and by three"
split -l 2500 "$work/many.jsonl" "$work/part-"
for part in "$work"/part-a?; do mv "$part" "$part.jsonl"; done
tokenize parts "$work"/part-a?.jsonl --eod 269 && same one parts && grep -q 'part-ab.jsonl' "$work/parts.json" && grep -q '"vocabulary": 275' "$work/parts.json"
verdict $? "many files are one; PREFIX.json names them"

# refused CODE MESSAGE ARGUMENT...
refused() {
    code=$1 message=$2
    shift 2
    ends "$code" "$program" tokenize "$@" && said "$message" && [ "$(whole "$work/said" | grep -c .)" -eq 1 ] && [ ! -e "$work/x.bin" ] && [ ! -e "$work/x.bin.tmp" ]
    verdict $? "$code: $message"
}
t="--tokenizer $tokenizer --out $work/x"
printf 'ab\nc\377d' > "$work/bad.txt"
printf '{"text": "a"}\n{"text": "b"\n' > "$work/bad.jsonl"
: > "$work/empty.txt"
# shellcheck disable=SC2086
{
    refused 64 'needs --tokenizer' --out "$work/x" "$work/a.txt"
    refused 64 'needs --out' --tokenizer "$tokenizer" "$work/a.txt"
    refused 64 'needs text files' $t
    refused 64 'exclude each other' $t --eod 1 --no-eod "$work/a.txt"
    refused 64 'which token ends a text is not known; give --eod' $t "$work/a.txt"
    refused 64 'neither a token nor an id below 275' $t --eod 275 "$work/a.txt"
    refused 64 'neither a token nor an id' $t --eod nonsense "$work/a.txt"
    refused 64 'a.bin: exists' --tokenizer "$tokenizer" --out "$work/a.bin" --no-eod "$work/a.txt"
    refused 65 'bad.txt:1: byte 4 (0xff) is not UTF-8' $t --no-eod "$work/bad.txt"
    refused 65 'bad.jsonl:2: column .*: not JSON' $t --no-eod "$work/bad.jsonl"
    refused 65 'empty.txt: there is no text' $t --no-eod "$work/empty.txt"
    refused 65 'nowhere.txt: cannot be opened' $t --no-eod "$work/nowhere.txt"
    refused 65 'it is a folder; name its files' $t --no-eod "$work"
    refused 65 'nowhere: cannot be opened' --tokenizer "$work/nowhere" --out "$work/x" --no-eod "$work/a.txt"
    refused 73 'cannot be created' --tokenizer "$tokenizer" --out "$work/a.txt/x" --no-eod "$work/a.txt"
}
COPPICE_FAIL=pwrite:0:1:ENOSPC ends 73 "$program" tokenize $t --no-eod "$work/a.txt" && [ ! -e "$work/x.bin.tmp" ]
verdict $? "a full disk: 73, and nothing is left"

(cd "$work" && ends 0 "$program" tokenize --tokenizer "$tokenizer" --out new/folder/x --no-eod a.txt && [ -e new/folder/x.idx ])
verdict $? "folders of --out are made"

# Training on them; the model's folder has the same tokenizer, or another one.
"$builddir/validation/cases/hf_model" "$work/like" --set vocab_size=275 > "$work/said" 2>&1
cp "$tokenizer" "$work/like/tokenizer.json"
cat > "$work/deck.yaml" << 'DECK'
start: random
model: {like: like, moe: {experts: 4, top_k: 2}}
run: {steps: 2}
data: {sequence: 16, train: [one], split: [0.9, 0.1]}
batch: {sequences: 8, micro: 2}
optimizer: {lr: 0.01}
DECK
export OMP_NUM_THREADS=1
cd "$work" || exit 73
ends 0 "$program" train "$work/deck.yaml" && ! grep -q 'another tokenizer\|made with a tokenizer' "$work/said"
verdict $? "training on what was made"
cp "$work/$(grep llama3 "$work/kinds")" "$work/like/tokenizer.json"
ends 0 "$program" train "$work/deck.yaml" --fresh && said 'warning *.*/one was made with another tokenizer (.*gpt2.json) than the model.s (.*/like/tokenizer.json)'
verdict $? "a warning where the model has another tokenizer"
sed -i 's/"vocabulary": 275/"vocabulary": 300/' "$work/one.json"
rm "$work/like/tokenizer.json"
ends 0 "$program" train "$work/deck.yaml" --fresh && said 'one was made with a tokenizer of 300 tokens .*, and the model has 275'
verdict $? "a warning where the vocabularies differ and the model has no tokenizer"
finish
