#!/bin/sh
# inspect, export, env and help: output, exit codes, and paths that are not a model.
. "${srcdir:-.}/validation/scripts/tap.sh"
reference=$top/validation/reference

# refused CODE MESSAGE WHAT COMMAND...: one message, nothing written to $work/out
refused() {
    code=$1 message=$2 what=$3
    shift 3
    ends "$code" "$COPPICE" "$@" && said "$message" && [ "$(grep -c '^coppice: ' "$work/said")" -eq 1 ] &&
        [ ! -e "$work/out" ]
    verdict $? "$what: exit code $code"
}

# ---- help, options ----

for words in help --help ""; do
    # shellcheck disable=SC2086
    ends 0 "$COPPICE" $words && said 'coppice COMMAND' && said 'exit codes'
    verdict $? "coppice $words: the commands and exit codes"
done
ends 0 "$COPPICE" help export && said ' export ' && ! said ' probe '
verdict $? "help of one command"
ends 0 "$COPPICE" --version && said '^Coppice [0-9]*\.[0-9]'
verdict $? "--version"
refused 64 'no command frobnicate' "an unknown command" frobnicate
refused 64 'no command frobnicate' "help of an unknown command" help frobnicate
refused 64 'unknown option --frob' "an unknown option" inspect --frob "$reference"
refused 64 'needs a value' "an option without its value" export x --out
refused 64 'no deck' "train without a deck" train

# ---- env ----

COPPICE_SHRAED=1
export COPPICE_SHRAED
ends 0 "$COPPICE" env && said '^libraries .*HDF5' && said '^cpu ' && said '^cores ' &&
    said 'COPPICE_SHRAED=1 .*unknown'
verdict $? "env: libraries, machine, and a variable that nobody knows"

# ---- models ----

for model in dense-bias-llama3 mixtral-losses; do
    ends 0 "$COPPICE" inspect "$reference/$model" && said '^trainable  *yes' && said '^shape ' &&
        said 'embed_tokens'
    verdict $? "inspect $model: trainable"
done
tokens "$work/tokens"
tiny "experts: 4, top_k: 2" "$work/tokens" > "$work/deck.yaml"
ends 0 "$COPPICE" train "$work/deck.yaml" --set "run.dir=$work/run" --set run.steps=2
verdict $? "a run to look at"
checkpoint=$work/run/ckpt/step_00000002
ends 0 "$COPPICE" inspect "$work/run" && said '^state  *step 2' && said '^hashes  *weights [0-9a-f]\{16\}' &&
    cp "$work/said" "$work/by_run" && ends 0 "$COPPICE" inspect "$checkpoint" &&
    cmp "$work/by_run" "$work/said"
verdict $? "inspect: a run folder is its newest checkpoint"
ends 0 "$COPPICE" export "$work/run" --out "$work/hf" && ends 0 "$COPPICE" inspect "$work/hf" &&
    said '^trainable  *yes'
verdict $? "export: float32, trainable again"
ends 0 "$COPPICE" export "$checkpoint" --out "$work/half" --dtype bfloat16 &&
    ends 0 "$COPPICE" inspect "$work/half" && said 'BF16' && said '^trainable  *yes'
verdict $? "export: bfloat16, trainable again"
(cd "$work" && ends 0 "$COPPICE" export run/) &&
    cmp "$work/run-hf/model.safetensors" "$work/hf/model.safetensors"
verdict $? "export without --out: NAME-hf in the current folder"

ends 0 "$COPPICE" inspect "$work/run" --diff "$work/hf" && said '^EQUAL: every bit' &&
    ends 1 "$COPPICE" inspect "$work/hf" --diff "$work/half" && said '^layers.1.gate_up .*|a-b|/|b| 1\.[0-9]*e-03' &&
    said '^DIFFERENT: [0-9]* tensors'
verdict $? "inspect --diff: an export has every bit of its checkpoint; in bfloat16 it is as far as its rounding"
ends 1 "$COPPICE" inspect "$work/hf" --diff "$reference/mixtral-losses" && said 'of another size' &&
    said '^head .*only in the second'
verdict $? "inspect --diff of two shapes"
ends 0 "$COPPICE" inspect "$work/run" --json && said '"kind": "checkpoint"' && said '"hashes"' &&
    ends 0 "$COPPICE" inspect "$work/hf" --json && said '"good": true' &&
    ends 65 "$COPPICE" inspect "$work" --json && said '"good": false' &&
    said '"error": ".*no model is in this folder'
verdict $? "inspect --json: a checkpoint, a directory, neither"

ends 0 "$COPPICE" train "$work/deck.yaml" --set "run.dir=$work/profile" --set run.steps=4 --set run.profile=true &&
    said '^profile  *op' && said '^ *gemm  *[0-9]' && said 'median of 3 steps' &&
    grep -q '"op": *"gemm"' "$work/profile/profile.json"
verdict $? "run.profile: a table by op, and profile.json"

# ---- what is none ----

# broken FILE COMMAND...: a copy of the export as $work/broken; the command changes the file as a filter
broken() {
    file=$1
    shift
    rm -rf "$work/broken"
    cp -R "$work/hf" "$work/broken"
    "$@" < "$work/hf/$file" > "$work/broken/$file"
}

mkdir "$work/empty"
echo '{}' > "$work/file"
refused 65 'no model is in this folder: it is empty' "inspect an empty folder" inspect "$work/empty"
refused 65 'there is no such folder' "inspect nothing" inspect "$work/nothing"
refused 65 'named by its folder' "inspect a file" inspect "$work/file"
refused 64 'needs one' "inspect two" inspect "$work/hf" "$work/run"
broken config.json sed 's/"hidden_act": "silu"/"hidden_act": "gelu"/'
refused 65 'hidden_act' "another activation" inspect "$work/broken"
broken config.json sed 's/}/, "attention_dropuot": 1}/'
refused 65 'attention_dropuot' "a key that nobody knows" inspect "$work/broken"
broken config.json sed 's/}/, "vocab_size": 128}/'
refused 65 'config.json' "a key twice" inspect "$work/broken"
broken config.json head -c 100
refused 65 'config.json' "config.json cut short" inspect "$work/broken"
broken model.safetensors head -c 5000
refused 65 'model.safetensors' "weights cut short" inspect "$work/broken"
broken model.safetensors sed 's/"F32"/"I32"/'
refused 65 'I32' "a type that is not supported" inspect "$work/broken"
broken model.safetensors sed 's/layers.1.input_layernorm/layers.9.input_layernorm/'
refused 65 'layers.1.input_layernorm' "a tensor missing" inspect "$work/broken"
cp -R "$checkpoint" "$work/cut"
head -c 3000 "$checkpoint/index.h5" > "$work/cut/index.h5"
refused 76 'index.h5' "inspect a damaged checkpoint" inspect "$work/cut"
refused 76 'index.h5' "export of a damaged checkpoint" export "$work/cut" --out "$work/out"
refused 64 'int8' "export of an unknown type" export "$work/run" --out "$work/out" --dtype int8
refused 64 'needs one' "export of nothing" export --out "$work/out"
refused 76 'neither a checkpoint' "export of a Hugging Face folder" export "$work/hf" --out "$work/out"
refused 73 "$work/file" "export to where no folder can be made" export "$work/run" --out "$work/file/out"
cksum "$work"/hf/* > "$work/before"
ends 64 "$COPPICE" export "$work/run" --out "$work/hf" && said "$work/hf" &&
    cksum "$work"/hf/* | cmp "$work/before" -
verdict $? "export over another model is refused"
finish
