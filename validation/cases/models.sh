#!/bin/sh
# Model directories as they are found: a model in three types; keys of config.json; heads that are stored twice; messages
# about folders that are not a model; differences between a model and its weights.
. "${srcdir:-.}/validation/scripts/tap.sh"
export OMP_NUM_THREADS=1
make_model=$builddir/validation/cases/hf_model
tokens "$work/t"

# model NAME OPTION...: a directory $work/NAME
model() { name=$1; shift; rm -rf "${work:?}/$name"; "$make_model" "$work/$name" "$@"; }

# deck MODEL-KEYS [LINE...]
deck() {
    { echo "model: {$1}"; shift
      for line; do echo "$line"; done
      echo "run: {steps: 1, dir: $work/run}"
      echo "data: {sequence: 16, train: [$work/t], split: [0.9, 0.1]}"
      echo "batch: {sequences: 2, micro: 1}"; } > "$work/deck.yaml"
}

# hash OF: the weights' hash that probe prints
hash_of() { "$COPPICE" probe "$work/deck.yaml" > "$work/said" 2>&1 && sed -n 's/^weights \([0-9a-f]*\).*/\1/p' "$work/said"; }

# ---- one model in three types, online and offline ----
# Values of 2^-20 to 127 * 2^-20: below 2^-14 they are subnormal in F16.
reference=
for type in F32 F16 BF16; do
    model "$type" --dtype $type --exponent -20
    deck "like: $work/$type, moe: {experts: 4, top_k: 2}"
    online=$(hash_of)
    "$COPPICE" upcycle "$work/deck.yaml" --out "$work/$type-moe" > "$work/said" 2>&1
    deck "like: $work/$type-moe"
    offline=$(hash_of)
    : "${reference:=$online}"
    [ -n "$online" ] && [ "$online" = "$reference" ] && [ "$offline" = "$reference" ]
    verdict $? "$type of small numbers: online $online, offline $offline, F32 online $reference"
done
# Denormals of F32, which growth scales: they are not flushed online either.
model denormal --first model.layers.0.mlp.down_proj.weight=3e-39 --first model.layers.0.mlp.up_proj.weight=1e-40
deck "like: $work/denormal, moe: {experts: 8, top_k: 4, granularity: 2}"
online=$(hash_of)
"$COPPICE" upcycle "$work/deck.yaml" --out "$work/denormal-moe" > "$work/said" 2>&1
deck "like: $work/denormal-moe"
offline=$(hash_of)
[ -n "$online" ] && [ "$online" = "$offline" ]
verdict $? "denormals of F32 times a weight scale: online $online, offline $offline"

# ---- keys of config.json ----

# Files that people publish, at the sizes of hf_model.
known() { # NAME FAMILY KEY=JSON...
    what=$1 family=$2; shift 2
    for key; do set -- "$@" --set "$key"; shift; done
    model keys --family "$family" "$@"
    ends 0 "$COPPICE" inspect "$work/keys"
    verdict $? "the keys of $what"
}
known "LLaMA-7B (2023)" llama 'architectures=["LLaMAForCausalLM"]' bos_token_id=0 eos_token_id=1 pad_token_id=-1 \
    'hidden_act="silu"' initializer_range=0.02 max_sequence_length=2048 'torch_dtype="float16"' use_cache=true \
    '_name_or_path="x"' 'transformers_version="4.27.0.dev0"'
known "Llama 2 with a config of the time" llama pretraining_tp=2 rope_scaling=null '_name_or_path="x"' \
    attention_bias=false attention_dropout=0.0 mlp_bias=false head_dim=8 rope_theta=10000.0 temperature=0.9 top_p=0.6
known "Llama 3.1" llama 'rope_scaling={"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
    "original_max_position_embeddings":32,"rope_type":"llama3"}' 'eos_token_id=[128001,128008]' rope_theta=500000.0
known "Qwen2.5" qwen2 use_mrope=false use_sliding_window=false sliding_window=131072 max_window_layers=28 \
    attention_dropout=0.0 rope_theta=1000000.0
known "Mixtral" mixtral output_router_logits=false router_aux_loss_coef=0.02 sliding_window=null \
    attention_dropout=0.0 rope_theta=1e6
known "SmolLM2" llama is_llama_config=true rope_interleaved=false \
    'transformers.js_config={"kv_cache_dtype":{"q4f16":"float16"}}' rope_scaling=null pretraining_tp=1
known "a model that Unsloth saved" mistral unsloth_fixed=true 'unsloth_version="2025.3.19"' \
    '_attn_implementation_autoset=true' sliding_window=4096
known "a whole dump of transformers 4" llama return_dict=true output_hidden_states=false torchscript=false \
    'pruned_heads={}' is_encoder_decoder=false max_length=20 do_sample=false 'id2label={"0":"A"}' \
    'label2id={"A":0}' tokenizer_class=null prefix=null bad_words_ids=null tie_encoder_decoder=false \
    cross_attention_hidden_size=null chunk_size_feed_forward=0 use_bfloat16=false top_k=50
known "linear scaling by 1" llama 'rope_scaling={"type":"linear","factor":1.0}' 'hidden_act="swish"'

model keys --set my_tool=3
ends 65 "$COPPICE" inspect "$work/keys" && said 'model.ignore: \[my_tool\]'
verdict $? "an unknown key is refused, with the way to say that it is harmless"
deck "like: $work/keys, ignore: [my_tool]"
ends 0 "$COPPICE" train "$work/deck.yaml" && said 'warning.*my_tool.*model.ignore' &&
    grep -q 'ignore: \[my_tool\]' "$work/run/resolved.yaml"
verdict $? "model.ignore: accepted, said, recorded"
ends 0 "$COPPICE" inspect "$work/keys" --set 'model.ignore=[my_tool]' && said 'note.*my_tool'
verdict $? "... by inspect, too"
ends 64 "$COPPICE" train "$work/deck.yaml" --fresh --set 'model.ignore=[my_tool,rope_theta]' && said 'set: model.ignore: rope_theta'
verdict $? "a key that says what the model is cannot be ignored"
for keys in 'rope_scaling={"rope_type":"default","type":"linear","factor":2.0}' \
    'rope_parameters={"rope_theta":500000.0,"rope_type":"default"}'; do
    model keys --set rope_theta=10000.0 --set "$keys"
    ends 65 "$COPPICE" inspect "$work/keys" && said 'contradicts'
    verdict $? "two spellings contradict each other: $keys"
done

# ---- heads that are stored although they are tied ----

# everywhere CODE [WORD]: inspect, probe, train, upcycle and a start from it end so, and say the word
everywhere() {
    code=$1 word=${2:-.}
    deck "like: $work/m, moe: {experts: 4, top_k: 2}"
    rm -rf "$work/out" "$work/run"
    ends "$code" "$COPPICE" inspect "$work/m" && said "$word" &&
        ends "$code" "$COPPICE" probe "$work/deck.yaml" && said "$word" &&
        ends "$code" "$COPPICE" train "$work/deck.yaml" && said "$word" &&
        ends "$code" "$COPPICE" upcycle "$work/deck.yaml" --out "$work/out" && said "$word" || return 1
    deck "like: $work/tied, moe: {experts: 4, top_k: 2}" "start: {from: $work/m}"
    ends "$code" "$COPPICE" probe "$work/deck.yaml" && said "$word" || return 1
    deck "like: $work/tied, moe: {experts: 4, top_k: 2}" "start: {upcycle: {parents: [$work/m]}}"
    ends "$code" "$COPPICE" probe "$work/deck.yaml" && said "$word"
}
model tied --tied
model m --tied --array lm_head.weight=model.embed_tokens.weight
everywhere 0
verdict $? "a stored head that is the embedding is accepted everywhere"
model m --tied --array lm_head.weight=128x32
everywhere 65 'take lm_head.weight out of .*/m/model.safetensors'
verdict $? "a stored head that differs is refused everywhere"
deck "like: $work/m"
if test_ranks 2 1; then
    ends 65 launch 2 "$COPPICE" probe "$work/deck.yaml" && said 'tie_word_embeddings to false'
    verdict $? "... on two ranks, too; both ways out are told"
fi
model m --tied --array lm_head.weight=129x32
everywhere 65 'lm_head.weight is .129, 32., the model needs .128, 32.'
verdict $? "a stored head of another shape is refused everywhere"
model m --tied --shards 2 --array lm_head.weight=model.embed_tokens.weight --unlisted lm_head.weight \
    --array model.layers.0.self_attn.rotary_emb.inv_freq=model.norm.weight \
    --unlisted model.layers.0.self_attn.rotary_emb.inv_freq
everywhere 0
verdict $? "redundant arrays that the index does not list are accepted"
model m --tied --shards 2 --array model.layers.0.extra=model.norm.weight --unlisted model.layers.0.extra
everywhere 65 'model.layers.0.extra does not belong'
verdict $? "... others are refused"
model m --tied --rename model.embed_tokens.weight=lm_head.weight
deck "like: $work/tied"
one=$(hash_of)
deck "like: $work/m"
two=$(hash_of)
[ -n "$one" ] && [ "${#one}" = "${#two}" ]
verdict $? "a tied model that stores its embedding as lm_head.weight alone"

# ---- NaN and infinity ----
for first in nan -inf; do
    model m --dtype BF16 --first model.layers.1.mlp.up_proj.weight=$first
    deck "like: $work/m, moe: {experts: 4, top_k: 2}"
    rm -rf "$work/run"
    ends 65 "$COPPICE" train "$work/deck.yaml" && said 'm/model.safetensors: tensor model.layers.1.mlp.up_proj.weight' &&
        ends 65 "$COPPICE" upcycle "$work/deck.yaml" --out "$work/out" && said 'not a finite number'
    verdict $? "$first in a weight: the file and the tensor are told"
done
model m --dtype F16 --first model.norm.weight=70000
deck "like: $work/m"
ends 65 "$COPPICE" probe "$work/deck.yaml" && said 'model.norm.weight.*65504'
verdict $? "an overflow of F16"

# ---- what a folder is when it is no model ----

# refuses WHAT WORD PATH: inspect and train end with 65 and say the word
refuses() {
    deck "like: $3"; rm -rf "$work/run"
    ends 65 "$COPPICE" inspect "$3" && said "$2" && ends 65 "$COPPICE" train "$work/deck.yaml" && said "$2" &&
        said "deck.yaml:1:15: model.like: "
    verdict $? "$1"
}
model m
cache=$work/models--org--name
mkdir -p "$cache/snapshots" "$cache/refs" && cp -r "$work/m" "$cache/snapshots/abc"
refuses "the hub's cache folder" 'snapshots/abc' "$cache"
# a copy without symbolic links holds their texts
mkdir "$cache/blobs" && mv "$cache/snapshots/abc/config.json" "$cache/blobs/c0" &&
    mv "$cache/snapshots/abc/model.safetensors" "$cache/blobs/5a" &&
    printf ../../blobs/c0 > "$cache/snapshots/abc/config.json" &&
    printf ../../blobs/5a > "$cache/snapshots/abc/model.safetensors"
ends 0 "$COPPICE" inspect "$cache/snapshots/abc" && said '^trainable *yes'
verdict $? "a copy of the hub's cache that lost its links is read through their texts"
rm "$cache/blobs/5a"
ends 65 "$COPPICE" inspect "$cache/snapshots/abc" && said 'symbolic link'
verdict $? "... and refused where the blob is gone"
refuses "a name on the hub" 'download it first' "$work/meta-llama/Llama-3.1-8B"
refuses "config.json instead of its folder" "named by its folder: $work/m\$" "$work/m/config.json"
refuses "a shard instead of its folder" "named by its folder: $work/m\$" "$work/m/model.safetensors"
mkdir "$work/empty"
refuses "an empty folder" 'it is empty' "$work/empty"
mkdir "$work/above" && cp -r "$work/m" "$work/above/inner"
refuses "the folder above the model" "one is in $work/above/inner" "$work/above"
mkdir "$work/lora" && echo '{}' > "$work/lora/adapter_config.json"
refuses "a LoRA adapter" 'merge_and_unload' "$work/lora"
cp "$work/lora/adapter_config.json" "$work/m"
refuses "a LoRA adapter beside the weights" 'adapter_config.json.*lies beside' "$work/m"
for file in pytorch_model.bin:PyTorch x.gguf:GGUF consolidated.00.pth:convert_llama model-00001-of-00002.safetensors:index.json; do
    model m
    rm "$work/m/model.safetensors"
    echo x > "$work/m/${file%:*}"
    refuses "weights as ${file%:*}" "holds neither.*${file#*:}" "$work/m"
    rm "$work/m/config.json"
    refuses "... without config.json" . "$work/m"
done
model m --shards 2
echo x > "$work/m/model.safetensors"
refuses "model.safetensors beside an index of other files" 'which one is the model' "$work/m"
for wrap in =module. =_orig_mod.; do
    model m --rename "$wrap"
    refuses "names that begin with ${wrap#=}" "begin with \"${wrap#=}model.\"" "$work/m"
done
model m --rename model.=language_model.model.
refuses "names that begin with language_model." 'begin with "language_model.model."' "$work/m"
model m --rename model.=
refuses 'names without model.' 'lack "model."' "$work/m"
model m
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4567\n' > "$work/m/model.safetensors"
refuses "a git-lfs pointer" 'git lfs pull' "$work/m"
printf '<!DOCTYPE html>\n<html><body>Sign in</body></html>\n' > "$work/m/config.json"
refuses "an HTML page as config.json" 'HTML page' "$work/m"

# ---- the model has other settings than its weights ----
model m
# differs WHAT WORDS OPTION...: weights made with these options start a model like $work/m
differs() {
    what=$1 words=$2; shift 2
    model w "$@"
    deck "like: $work/m, moe: {experts: 4, top_k: 2}" "start: {from: $work/w}"
    rm -rf "$work/run"
    ends 0 "$COPPICE" train "$work/deck.yaml" && said "warning.*start.from $work/w was made.*$words" &&
        grep -q "\"start.from $work/w.*$words" "$work/run/certificate.json"
    verdict $? "$what"
}
differs "another rope_theta" 'rope_theta 500000 there, 10000 here' --set rope_theta=500000.0
differs "another rms_norm_eps" 'rms_norm_eps 1e-06 there, 1e-05 here' --set rms_norm_eps=1e-6
differs "rotary scaling, and two keys in one line" 'rope_theta 20000 there.*rope_type llama3 there, default here' \
    --set rope_theta=20000 --set 'rope_scaling={"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4}'
deck "like: $work/m, moe: {experts: 4, top_k: 2}" "start: {upcycle: {parents: [$work/w]}}"
ends 0 "$COPPICE" upcycle "$work/deck.yaml" --out "$work/other" && said "start.upcycle.parents $work/w was made.*rope_theta"
verdict $? "a parent"
deck "like: $work/m, rope_theta: 12345"
ends 0 "$COPPICE" probe "$work/deck.yaml" && said "model.like $work/m was made.*rope_theta 10000 there, 12345 here"
verdict $? "a key of the deck over model.like"
deck "like: $work/m, moe: {experts: 4, top_k: 2}" "start: {from: $work/m}"
rm -rf "$work/run"
ends 0 "$COPPICE" train "$work/deck.yaml" && ! said 'was made with' && grep -q '"settings_changed": \[\]' "$work/run/certificate.json"
verdict $? "nothing is said where nothing differs"
model w --set num_attention_heads=2 --set num_key_value_heads=1 --set head_dim=16
deck "like: $work/m, moe: {experts: 4, top_k: 2}" "start: {from: $work/w}"
ends 64 "$COPPICE" probe "$work/deck.yaml" && said 'head'
verdict $? "heads cut in another way are refused, though the arrays fit"

# ---- sequences longer than the model was made for ----
model m --set max_position_embeddings=15
deck "like: $work/m"
ends 64 "$COPPICE" probe "$work/deck.yaml" && said 'deck.yaml:3:18: data.sequence: 16 is more than the 15 positions' &&
    said 'model.max_positions: 16'
verdict $? "more than max_position_embeddings is refused with its place"
deck "like: $work/m, max_positions: 16"
ends 0 "$COPPICE" probe "$work/deck.yaml"
verdict $? "... model.max_positions says that it is meant"
model m --without max_position_embeddings --set max_sequence_length=15
deck "like: $work/m"
ends 64 "$COPPICE" probe "$work/deck.yaml" && said 'the 15 positions'
verdict $? "... max_sequence_length, too"

# ---- no file ----
for what in config.json model.safetensors; do
    model m
    rm "$work/m/$what"
    mkfifo "$work/m/$what"
    refuses "a pipe as $what" "$what: not a regular file" "$work/m"
    rm "$work/m/$what"
    mkdir "$work/m/$what"
    refuses "a folder as $what" "$what: not a regular file" "$work/m"
    rmdir "$work/m/$what"
    ln -s /dev/zero "$work/m/$what"
    refuses "a device as $what" "$what: not a regular file" "$work/m"
done
model m
deck "like: $work/m"
rm -rf "$work/run"
"$COPPICE" train "$work/deck.yaml" > "$work/said" 2>&1
for step in "$work"/run/ckpt/step_*; do rm "$step/shard_0000.h5" && mkfifo "$step/shard_0000.h5"; done
ends 76 timeout -s KILL 20 "$COPPICE" export "$step" --out "$work/piped" && said 'shard_0000.h5.*not a regular file'
verdict $? "a pipe as a checkpoint's shard"

# ---- many arrays ----
{ echo "start: random"
  echo "model: {hidden: 32, ffn: 32, layers: 24, heads: 4, kv_heads: 2, vocab: 128, moe: {experts: 64, top_k: 2}}"
  echo "run: {steps: 1}"
  echo "data: {sequence: 16, train: [$work/t], split: [0.9, 0.1]}"
  echo "batch: {sequences: 4, micro: 2}"; } > "$work/deck.yaml"
ends 0 timeout 40 "$COPPICE" probe "$work/deck.yaml" --out "$work/many.safetensors" &&
    ends 0 "$COPPICE" probe "$work/deck.yaml" --expect "$work/many.safetensors" --quiet
verdict $? "gradients of 4,800 arrays are written in time (two minutes where each looks through all) and read again"
if test_ranks 4 1; then
    ends 0 launch 4 "$COPPICE" probe "$work/deck.yaml" --set parallel.expert=2 --set parallel.tensor=2 \
        --out "$work/many4.safetensors" &&
        ends 0 "$COPPICE" probe "$work/deck.yaml" --expect "$work/many4.safetensors" --quiet
    verdict $? "... those of 4 ranks, too"
fi

finish
