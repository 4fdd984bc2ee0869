#!/bin/sh
# Model directories of other people: one model in three types; config.json's keys; heads that are stored twice;
# what a folder is when it is no model; what differs between the model and its weights.
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

finish
