/* Keys of config.json that never change what a model computes: those of tokenizers, of generation and of the
 * tools that wrote the file. A key that changes the model at some value stands in the table of hf_config.c.
 */
#include "format/hf_config.h"

#include <string.h>

static const char *const names[] = {
    /* who wrote the file, and how it was loaded */
    "architectures", "_name_or_path", "name_or_path", "_commit_hash", "transformers_version",
    "transformers.js_config", "torch_dtype", "dtype", /* the types are those in the safetensors files */
    "_attn_implementation", "_attn_implementation_autoset", "_attn_implementation_internal",
    "attn_implementation", "_experts_implementation", "_flash_attn_2_enabled", "use_flash_attn",
    "use_flash_attention", "use_flash_attention_2", "unsloth_fixed", "unsloth_version", "is_llama_config",
    "base_model_tp_plan", "base_model_pp_plan", "base_model_ep_plan", "keys_to_ignore_at_inference",
    "is_composition", "use_cache", "cache_implementation", "use_bfloat16", "torchscript", "tf_legacy_loss",
    "gradient_checkpointing", "return_dict", "output_attentions", "output_hidden_states",
    "output_router_logits", "chunk_size_feed_forward", "is_decoder",
    /* how weights were first drawn; in how many parts products were summed in training */
    "initializer_range", "pretraining_tp",
    /* tasks */
    "finetuning_task", "task_specific_params", "problem_type", "num_labels", "id2label", "label2id",
    "classifier_dropout",
    /* tokenizer */
    "tokenizer_class", "model_max_length", "padding_side", "truncation_side", "add_bos_token",
    "add_eos_token", "bos_token", "eos_token", "pad_token", "unk_token", "chat_template",
    "clean_up_tokenization_spaces", "prefix",
    /* generation */
    "max_length", "min_length", "max_new_tokens", "min_new_tokens", "do_sample", "early_stopping",
    "num_beams", "num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p", "min_p",
    "typical_p", "epsilon_cutoff", "eta_cutoff", "repetition_penalty", "length_penalty",
    "encoder_repetition_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids",
    "force_words_ids", "num_return_sequences", "output_scores", "output_logits", "return_dict_in_generate",
    "remove_invalid_values", "renormalize_logits", "exponential_decay_length_penalty", "suppress_tokens",
    "begin_suppress_tokens", "sequence_bias", "guidance_scale", "penalty_alpha"};

bool hf_key_harmless(const char *name)
{
    static const char id[] = "_token_id"; /* as in pad_token_id */
    size_t n = strlen(name);
    if (n >= sizeof id && strcmp(name + n - (sizeof id - 1), id) == 0)
        return 1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return 1;
    return 0;
}
