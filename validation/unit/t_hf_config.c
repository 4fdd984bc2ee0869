/* format/hf_config: every key is used, harmless, ignored with a line, or refused by name. Files as
 * transformers writes them, hostile ones, and what we write. */
#include "base/json.h"
#include "format/hf_config.h"
#include "validation/unit/scratch.h"
#include "validation/unit/tap.h"

static status read_text(struct hf_config *c, const char *text)
{
    scratch_write("config.json", text, strlen(text));
    return hf_config_read(c, scratch(""), NULL, 0);
}

/* ---- files as transformers 5.23 writes them (new form, shortened lists of layers) ---- */

#define COMMON                                                                                          \
    "\"architectures\":[\"x\"],\"attention_dropout\":0.0,\"bos_token_id\":1,\"eos_token_id\":[2,3],"    \
    "\"hidden_act\":\"silu\",\"initializer_range\":0.02,\"pad_token_id\":null,\"tie_word_embeddings\":" \
    "false,"                                                                                            \
    "\"transformers_version\":\"5.23.0\",\"use_cache\":true,\"dtype\":\"bfloat16\","

static const char new_llama[] =
    "{" COMMON "\"attention_bias\":false,\"head_dim\":16,\"hidden_size\":64,\"intermediate_size\":96,"
    "\"max_position_embeddings\":2048,\"mlp_bias\":false,\"model_type\":\"llama\",\"num_attention_heads\":4,"
    "\"num_hidden_layers\":2,\"num_key_value_heads\":4,\"pretraining_tp\":1,\"rms_norm_eps\":1e-06,"
    "\"rope_parameters\":{\"factor\":8.0,\"high_freq_factor\":4.0,\"low_freq_factor\":1.0,"
    "\"original_max_position_embeddings\":64,\"rope_theta\":500000.0,\"rope_type\":\"llama3\"},\"vocab_"
    "size\":100}";
static const char new_qwen2[] =
    "{" COMMON "\"hidden_size\":4096,\"intermediate_size\":22016,\"layer_types\":[\"full_attention\","
    "\"full_attention\"],\"max_position_embeddings\":32768,\"max_window_layers\":28,\"model_type\":\"qwen2\","
    "\"num_attention_heads\":32,\"num_hidden_layers\":2,\"num_key_value_heads\":32,\"rms_norm_eps\":1e-06,"
    "\"rope_parameters\":{\"rope_theta\":10000.0,\"rope_type\":\"default\"},\"sliding_window\":null,"
    "\"use_sliding_window\":false,\"vocab_size\":151936}";
static const char new_mixtral[] =
    "{" COMMON "\"head_dim\":null,\"hidden_size\":4096,\"intermediate_size\":14336,"
    "\"max_position_embeddings\":131072,\"model_type\":\"mixtral\",\"num_attention_heads\":32,"
    "\"num_experts_per_tok\":2,\"num_hidden_layers\":32,\"num_key_value_heads\":8,\"num_local_experts\":8,"
    "\"output_router_logits\":false,\"rms_norm_eps\":1e-05,\"rope_parameters\":{\"rope_theta\":1000000.0,"
    "\"rope_type\":\"default\"},\"router_aux_loss_coef\":0.001,\"router_jitter_noise\":0.0,\"sliding_"
    "window\":null,"
    "\"vocab_size\":32000}";

static void test_new_form(void)
{
    struct hf_config c;
    ok(read_text(&c, new_llama) == OK, "llama, new form");
    ok(c.hidden == 64 && c.intermediate == 96 && c.layers == 2 && c.heads == 4 && c.kv_heads == 4 &&
           c.head_dim == 16 && c.vocab == 100 && c.max_positions == 2048 && c.norm_eps == 1e-6 && !c.tied &&
           !c.qkv_bias && c.experts == 0 && c.n_moe_layers == -1 && c.sliding_window == 0 && c.n_notes == 0,
       "its shape");
    ok(c.rope.scaling == ROPE_LLAMA3 && c.rope.theta == 5e5 && c.rope.factor == 8 && c.rope.low_freq == 1 &&
           c.rope.high_freq == 4 && c.rope.original_positions == 64,
       "its rotary embeddings");
    hf_config_free(&c);
    ok(read_text(&c, new_qwen2) == OK && c.qkv_bias && c.head_dim == 128 && c.rope.theta == 1e4,
       "qwen2, new form");
    hf_config_free(&c);
    ok(read_text(&c, new_mixtral) == OK && c.experts == 8 && c.top_k == 2 && c.rope.theta == 1e6 &&
           c.head_dim == 128 && c.norm_eps == 1e-5,
       "mixtral, new form");
    ok(c.n_notes == 2 && strstr(c.notes[0], "router_aux_loss_coef") &&
           strstr(c.notes[1], "router_jitter_noise"),
       "what is ignored has a line each");
    hf_config_free(&c);
}

/* ---- variations of one small file ---- */

static const char base[] =
    "{\"model_type\":\"llama\",\"hidden_size\":64,\"intermediate_size\":96,"
    "\"num_hidden_layers\":4,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":100}";

/* base without one key, with other members laid over it. */
static status read_changed(struct hf_config *c, const char *without, const char *with)
{
    json_t *file = json_loads(base, 0, NULL), *more = json_loads(with, 0, NULL);
    if (!file || !more)
        bug("bad test: %s", with);
    if (without)
        json_object_del(file, without);
    json_object_update(file, more);
    char *text = json_dumps(file, JSON_COMPACT);
    status s = read_text(c, text);
    free(text);
    json_decref(file);
    json_decref(more);
    return s;
}

/* "0110": which layers have experts, by what config.json says of them. */
static void test_moe_layers(void)
{
    static const struct {
        const char *with, *moe;
    } cases[] = {
        {"{\"model_type\":\"qwen2_moe\"}", "1111"},
        {"{\"model_type\":\"qwen2_moe\",\"mlp_only_layers\":[3,0]}", "0110"},
        {"{\"model_type\":\"qwen3_moe\",\"decoder_sparse_step\":2}", "0101"},
        {"{\"model_type\":\"qwen3_moe\",\"decoder_sparse_step\":2,\"mlp_only_layers\":[1]}", "0001"},
        {"{\"model_type\":\"mixtral\",\"coppice_moe_layers\":[2]}", "0010"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hf_config c;
        char moe[] = "0000";
        status code = read_changed(&c, NULL, cases[i].with);
        for (int l = 0; l < c.n_moe_layers; l++)
            moe[c.moe_layers[l]] = '1';
        ok(code == OK && !strcmp(c.n_moe_layers < 0 ? "1111" : moe, cases[i].moe), "experts in layers %s: %s",
           cases[i].moe, cases[i].with);
        hf_config_free(&c);
    }
}

static void test_defaults(void)
{
    static const struct {
        const char *with;
        long long kv_heads, max_positions, window;
        double eps, theta;
        long long experts, top_k;
    } cases[] = {
        {"{\"model_type\":\"llama\"}", 32, 2048, 0, 1e-6, 1e4, 0, 0},
        {"{\"model_type\":\"mistral\"}", 8, 131072, 4096, 1e-6, 1e4, 0, 0},
        {"{\"model_type\":\"qwen2\"}", 32, 32768, 0, 1e-6, 1e4, 0, 0},
        {"{\"model_type\":\"mixtral\"}", 8, 131072, 0, 1e-5, 1e6, 8, 2},
        {"{\"model_type\":\"qwen2_moe\"}", 16, 32768, 0, 1e-6, 1e4, 60, 4},
        {"{\"model_type\":\"qwen3_moe\"}", 4, 32768, 0, 1e-6, 1e4, 128, 8},
        {"{\"model_type\":\"granitemoe\"}", 32, 2048, 0, 1e-6, 1e4, 8, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hf_config c;
        char *with =
            mem_format("%.*s,\"num_attention_heads\":32}", (int)strlen(cases[i].with) - 1, cases[i].with);
        bool good = read_changed(&c, "num_key_value_heads", with) == OK;
        ok(good && c.kv_heads == cases[i].kv_heads && c.head_dim == 2 &&
               c.max_positions == cases[i].max_positions && c.sliding_window == cases[i].window &&
               c.norm_eps == cases[i].eps && c.rope.theta == cases[i].theta &&
               c.experts == cases[i].experts && c.top_k == cases[i].top_k && !c.tied &&
               c.n_moe_layers == -1 && c.rope.scaling == ROPE_DEFAULT,
           "transformers' defaults: %s", cases[i].with);
        free(with);
        hf_config_free(&c);
    }
}

/* message NULL: good. `without`: key taken out of the base. */
static const struct change {
    const char *without, *with, *message;
} changes[] = {
    /* used, harmless */
    {NULL, "{}", NULL},
    {NULL, "{\"num_key_value_heads\":null,\"head_dim\":null,\"rope_scaling\":null,\"sliding_window\":null}",
     NULL},
    {NULL, "{\"rope_scaling\":{\"rope_type\":\"default\"}}", NULL},
    {NULL, "{\"rope_scaling\":{\"type\":\"default\"}}", NULL},
    {NULL, "{\"rope_scaling\":{},\"rope_parameters\":null}", NULL},
    {NULL, "{\"rope_theta\":500000,\"rope_parameters\":{\"rope_theta\":500000.0}}", NULL},
    {NULL,
     "{\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4}"
     "}",
     NULL},
    {NULL, "{\"attention_dropout\":0,\"use_cache\":false,\"pretraining_tp\":1,\"torch_dtype\":\"float16\"}",
     NULL},
    {NULL, "{\"layer_types\":[\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\"]}",
     NULL},
    {NULL, "{\"is_llama_config\":true,\"rope_interleaved\":false,\"transformers.js_config\":{\"a\":1}}",
     NULL},
    {NULL, "{\"quantization_config\":null,\"image_token_id\":7,\"_name_or_path\":\"x\"}", NULL},
    {NULL, "{\"model_type\":\"mixtral\",\"coppice_moe_layers\":[]}", NULL},
    {NULL,
     "{\"model_type\":\"mixtral\",\"coppice_moe_layers\":[0,3],\"num_local_experts\":1,\"num_experts_per_"
     "tok\":1}",
     NULL},
    {NULL,
     "{\"model_type\":\"qwen2\",\"use_sliding_window\":false,\"sliding_window\":4096,\"max_window_layers\":"
     "2}",
     NULL},
    {NULL, "{\"rope_scaling\":{\"type\":\"linear\",\"factor\":1.0}}", NULL},
    {NULL,
     "{\"rope_scaling\":{\"type\":\"default\",\"rope_type\":\"default\"},\"rope_parameters\":{\"type\":"
     "\"default\",\"rope_type\":\"default\"}}",
     NULL},
    {NULL, "{\"model_type\":\"mixtral\",\"num_experts\":4,\"num_local_experts\":4}", NULL},
    {NULL,
     "{\"model_type\":\"qwen2_moe\",\"num_experts\":4,\"mlp_only_layers\":[0],\"decoder_sparse_step\":2,"
     "\"norm_topk_prob\":true,\"router_aux_loss_coef\":0.001,\"sliding_window\":0,\"use_sliding_window\":"
     "false,"
     "\"output_router_logits\":false,\"coppice_no_shared_expert\":true}",
     NULL},
    {NULL, "{\"pretraining_tp\":2,\"hidden_act\":\"swish\",\"max_sequence_length\":2048}", NULL},
    {NULL, "{\"use_mrope\":false,\"bias\":false,\"pruned_heads\":{},\"is_encoder_decoder\":false}", NULL},
    {NULL, "{\"unsloth_fixed\":true,\"unsloth_version\":\"2025.1\",\"_attn_implementation_autoset\":true}",
     NULL},
    {NULL,
     "{\"tokenizer_class\":\"x\",\"model_max_length\":7,\"temperature\":0.6,\"top_p\":0.9,\"max_length\":"
     "4096,\"bad_words_ids\":null,\"return_dict\":true,\"id2label\":{\"0\":\"a\"},\"top_k\":50}",
     NULL},
    {NULL, "{\"model_type\":\"qwen3\",\"attention_bias\":false,\"use_sliding_window\":false}", NULL},
    {NULL, "{\"model_type\":\"seed_oss\",\"attention_dropout\":0.1,\"attention_out_bias\":false}", NULL},
    {NULL, "{\"model_type\":\"smollm3\",\"no_rope_layers\":null,\"no_rope_layer_interval\":3}", NULL},
    {NULL, "{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,\"attention_factor\":null}}", NULL},
    /* refused by name */
    {NULL, "{\"use_mrope\":true}", "key \"use_mrope\": multimodal"},
    {NULL, "{\"bias\":true}", "key \"bias\": biases"},
    {NULL, "{\"hidden_act\":\"silu|swish\"}", "only \"silu\""},
    {NULL, "{\"is_encoder_decoder\":true}", "only decoders"},
    {NULL, "{\"max_sequence_length\":\"long\"}", "must be an integer"},
    {"model_type", "{}", "key \"model_type\": only llama"},
    {NULL, "{\"model_type\":\"gpt2\"}", "not gpt2"},
    {NULL, "{\"model_type\":7}", "key \"model_type\""},
    {NULL, "{\"model_type\":\"lla\\nma\"}", "not this"},
    {"hidden_size", "{}", "key \"hidden_size\": missing"},
    {"intermediate_size", "{}", "key \"intermediate_size\": missing"},
    {"num_hidden_layers", "{}", "key \"num_hidden_layers\": missing"},
    {"num_attention_heads", "{}", "key \"num_attention_heads\": missing"},
    {"vocab_size", "{}", "key \"vocab_size\": missing"},
    {NULL, "{\"hidden_size\":0}", "key \"hidden_size\": must be an integer from 1 to 262144"},
    {NULL, "{\"hidden_size\":-64}", "key \"hidden_size\""},
    {NULL, "{\"hidden_size\":64.0}", "key \"hidden_size\""},
    {NULL, "{\"hidden_size\":\"64\"}", "key \"hidden_size\""},
    {NULL, "{\"hidden_size\":null}", "key \"hidden_size\""},
    {NULL, "{\"hidden_size\":9223372036854775807}", "key \"hidden_size\""},
    {NULL, "{\"hidden_size\":66}", "66 is not a multiple of 4 heads"},
    {NULL, "{\"hidden_size\":60}", "key \"head_dim\": 15 is odd"},
    {NULL, "{\"head_dim\":7}", "7 is odd"},
    {NULL, "{\"num_hidden_layers\":100000}", "1 to 1024"},
    {NULL, "{\"num_key_value_heads\":3}", "not a multiple of 3"},
    {NULL, "{\"num_key_value_heads\":8}", "not a multiple of 8"},
    {NULL, "{\"vocab_size\":16777217}", "key \"vocab_size\""},
    {NULL, "{\"rms_norm_eps\":0}", "key \"rms_norm_eps\": must be a positive number"},
    {NULL, "{\"rms_norm_eps\":true}", "key \"rms_norm_eps\""},
    {NULL, "{\"tie_word_embeddings\":1}", "must be true or false"},
    {NULL, "{\"hidden_act\":\"gelu\"}", "only \"silu\""},
    {NULL, "{\"hidden_act\":null}", "only \"silu\""},
    {NULL, "{\"attention_bias\":true}", "key \"attention_bias\": a bias"},
    {NULL, "{\"attention_bias\":0}", "key \"attention_bias\""},
    {NULL, "{\"mlp_bias\":true}", "key \"mlp_bias\""},
    {NULL, "{\"attention_dropout\":0.1}", "key \"attention_dropout\": only 0"},
    {NULL, "{\"resid_pdrop\":0.1}", "key \"resid_pdrop\": only 0"},
    {NULL, "{\"partial_rotary_factor\":0.5}", "key \"partial_rotary_factor\""},
    {NULL, "{\"qk_norm\":true}", "key \"qk_norm\""},
    {NULL, "{\"quantization_config\":{\"bits\":4}}", "quantised"},
    {NULL, "{\"auto_map\":{\"AutoModel\":\"x.py\"}}", "own code"},
    {NULL, "{\"rope_interleaved\":true}", "interleaved"},
    {NULL, "{\"use_sliding_window\":true}", "key \"use_sliding_window\""},
    {NULL, "{\"sliding_window\":0}", "key \"sliding_window\""},
    {NULL, "{\"layer_types\":[\"full_attention\"]}", "a list of 4 types"},
    {NULL,
     "{\"layer_types\":[\"full_attention\",\"full_attention\",\"full_attention\",\"sliding_attention\"]}",
     "the file gives no window"},
    {NULL,
     "{\"layer_types\":[\"full_attention\",\"chunked_attention\",\"full_attention\",\"full_attention\"]}",
     "layer 1: only full_attention and sliding_attention"},
    {NULL,
     "{\"model_type\":\"qwen3\",\"sliding_window\":8,\"layer_types\":[\"full_attention\","
     "\"sliding_attention\",\"full_attention\",\"full_attention\"]}",
     "use_sliding_window"},
    {NULL,
     "{\"model_type\":\"mistral\",\"sliding_window\":8,\"layer_types\":[\"full_attention\","
     "\"sliding_attention\",\"full_attention\",\"full_attention\"]}",
     "of mistral models in all layers"},
    {NULL, "{\"model_type\":\"qwen2\",\"use_sliding_window\":1}", "must be true or false"},
    {NULL, "{\"model_type\":\"qwen2\",\"max_window_layers\":-1}", "must be an integer from 0"},
    {NULL, "{\"layer_types\":[0,0,0,0]}", "layer 0"},
    {NULL, "{\"logit_scale\":0.5}", "model.ignore: [logit_scale]"},
    {NULL, "{\"_token_id\":0}", "key \"_token_id\": unknown"},
    {NULL, "{\"a\\nb\":0}", "control bytes"},
    {NULL, "{\"\":0}", "a key is empty"},
    {NULL, "{\"num_local_experts\":8}", "key \"num_local_experts\": llama models have no such key"},
    {NULL, "{\"coppice_moe_layers\":[1]}", "llama models have no such key"},
    {NULL, "{\"model_type\":\"mixtral\",\"num_local_experts\":2,\"num_experts_per_tok\":3}",
     "more than the 2 experts"},
    {NULL, "{\"model_type\":\"mixtral\",\"num_local_experts\":0}", "key \"num_local_experts\""},
    {NULL, "{\"model_type\":\"qwen3_moe\",\"num_experts\":4}", "more than the 4 experts"},
    {NULL, "{\"model_type\":\"qwen3_moe\",\"mlp_only_layers\":[0,1,2,3]}", "no layer has experts"},
    {NULL, "{\"model_type\":\"qwen3_moe\",\"mlp_only_layers\":[4]}", "from 0 to 3"},
    {NULL, "{\"model_type\":\"qwen3_moe\",\"mlp_only_layers\":1}", "must be a list of layers"},
    {NULL, "{\"model_type\":\"qwen3_moe\",\"decoder_sparse_step\":0}", "must be a positive integer"},
    {NULL, "{\"model_type\":\"qwen3_moe\",\"shared_expert_intermediate_size\":8}", "have no such key"},
    {NULL, "{\"model_type\":\"qwen2_moe\",\"moe_intermediate_size\":0}", "key \"moe_intermediate_size\""},
    {NULL, "{\"model_type\":\"qwen2_moe\",\"norm_topk_prob\":1}", "must be true or false"},
    {NULL, "{\"model_type\":\"mixtral\",\"router_jitter_noise\":\"x\"}", "must be a number"},
    {NULL, "{\"model_type\":\"mixtral\",\"coppice_moe_layers\":[1,1]}", "from 0 to 3, ascending"},
    {NULL, "{\"model_type\":\"mixtral\",\"coppice_moe_layers\":[3,1]}", "ascending"},
    {NULL, "{\"model_type\":\"mixtral\",\"coppice_moe_layers\":[4]}", "from 0 to 3"},
    {NULL, "{\"model_type\":\"mixtral\",\"coppice_moe_layers\":[-1]}", "from 0 to 3"},
    {NULL, "{\"model_type\":\"mixtral\",\"coppice_moe_layers\":[1.0]}", "from 0 to 3"},
    {NULL, "{\"model_type\":\"mixtral\",\"coppice_moe_layers\":[0,1,2,3,4]}", "must be a list of layers"},
    {NULL, "{\"model_type\":\"mixtral\",\"coppice_moe_layers\":3}", "must be a list of layers"},
    {NULL, "{\"rope_theta\":-1}", "key \"rope_theta\""},
    {NULL, "{\"rope_theta\":null}", "key \"rope_theta\""},
    {NULL, "{\"rope_scaling\":{\"rope_type\":\"longrope\",\"factor\":4}}",
     "key \"rope_scaling.rope_type\": only default, linear, dynamic, llama3 and yarn"},
    {NULL, "{\"rope_scaling\":{\"type\":\"linear\"}}", "linear needs factor"},
    {NULL, "{\"rope_scaling\":{\"type\":\"linear\",\"factor\":0.5}}", "linear needs factor >= 1"},
    {NULL, "{\"rope_scaling\":{\"type\":\"linear\",\"factor\":2,\"low_freq_factor\":1}}",
     "factors that linear does not have"},
    {NULL, "{\"rope_parameters\":{\"rope_type\":\"dynamic\"}}", "key \"rope_parameters.rope_type\""},
    {NULL, "{\"rope_parameters\":{\"rope_type\":\"dynamic\",\"factor\":2,\"beta_slow\":1}}",
     "factors that dynamic does not have"},
    {NULL, "{\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":2,\"truncate\":1}}",
     "key \"rope_parameters.truncate\": must be true or false"},
    {NULL, "{\"model_type\":\"qwen3\",\"attention_bias\":true}", "output is not supported"},
    {NULL, "{\"model_type\":\"seed_oss\",\"attention_out_bias\":true}", "output is not supported"},
    {NULL, "{\"model_type\":\"seed_oss\",\"attention_bias\":1}", "must be true or false"},
    {NULL, "{\"model_type\":\"qwen2\",\"no_rope_layers\":[1,1,1,1]}", "qwen2 models have no such key"},
    {NULL, "{\"model_type\":\"smollm3\",\"no_rope_layers\":[1,1,1]}", "must be a list of 4 numbers"},
    {NULL, "{\"model_type\":\"smollm3\",\"no_rope_layers\":[1,1,1,2]}", "layer 3: must be 0 or 1"},
    {NULL, "{\"model_type\":\"smollm3\",\"no_rope_layers\":[1,1,true,0]}", "layer 2: must be 0 or 1"},
    {NULL, "{\"model_type\":\"smollm3\",\"no_rope_layer_interval\":0}", "must be a positive integer"},
    {NULL, "{\"model_type\":\"granite\",\"logits_scaling\":0}", "must be a positive number"},
    {NULL, "{\"model_type\":\"llama\",\"residual_multiplier\":0.2}", "llama models have no such key"},
    {NULL, "{\"rope_scaling\":{\"rope_type\":\"llama3\"}}", "llama3 needs factor"},
    {NULL,
     "{\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4}"
     "}",
     "low_freq_factor <"},
    {NULL,
     "{\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":0.5,\"low_freq_factor\":1,\"high_freq_factor\":"
     "4}}",
     "factor >= 1"},
    {NULL, "{\"rope_scaling\":{\"factor\":8}}", "factors that default does not have"},
    {NULL, "{\"rope_scaling\":{\"rope_type\":\"default\",\"beta_fast\":32}}",
     "factors that default does not have"},
    {NULL, "{\"rope_scaling\":4}", "must be an object"},
    {NULL, "{\"rope_parameters\":{\"full_attention\":{\"rope_theta\":1e4}}}",
     "key \"rope_parameters.full_attention\": unknown"},
    /* two spellings that contradict each other */
    {NULL, "{\"rope_scaling\":{},\"rope_parameters\":{\"rope_type\":\"default\"}}", "which one counts"},
    {NULL, "{\"rope_theta\":1e4,\"rope_parameters\":{\"rope_theta\":5e5}}",
     "key \"rope_parameters.rope_theta\": contradicts \"rope_theta\""},
    {NULL, "{\"rope_theta\":1e4,\"rope_scaling\":{\"type\":\"default\",\"rope_theta\":5e5}}",
     "key \"rope_scaling.rope_theta\": contradicts \"rope_theta\""},
    {NULL,
     "{\"rope_scaling\":{\"type\":\"llama3\",\"rope_type\":\"default\",\"factor\":8,\"low_freq_factor\":1,"
     "\"high_freq_factor\":4}}",
     "key \"rope_scaling.type\": contradicts \"rope_scaling.rope_type\""},
    {NULL, "{\"rope_scaling\":{\"type\":\"linear\",\"rope_type\":\"default\",\"factor\":1}}", "contradicts"},
    {NULL, "{\"model_type\":\"mixtral\",\"num_experts\":8,\"num_local_experts\":4}",
     "key \"num_experts\": contradicts \"num_local_experts\""},
};

static void test_changes(void)
{
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct hf_config c;
        const struct change *t = &changes[i];
        status s = read_changed(&c, t->without, t->with);
        ok(t->message ? s == E_DATA && says(t->message) && says("config.json") : s == OK, "%s %s: %s",
           t->without ? t->without : "", t->with, t->message ? t->message : "good");
        if (s == OK)
            hf_config_free(&c);
        else if (!t->message)
            printf("# %s\n", status_text());
    }
}

/* Which layers have the window, as transformers decides it: a letter each, w or -. */
static void test_windows(void)
{
    static const struct {
        const char *with, *layers;
    } cases[] = {
        {"{\"model_type\":\"mistral\",\"sliding_window\":8}", "wwww"},
        {"{\"model_type\":\"mistral\",\"sliding_window\":null}", "----"},
        {"{\"model_type\":\"mixtral\",\"sliding_window\":8}", "wwww"},
        {"{\"model_type\":\"llama\",\"sliding_window\":8}", "----"},
        {"{\"model_type\":\"qwen2\",\"sliding_window\":8,\"max_window_layers\":0}", "----"},
        {"{\"model_type\":\"qwen2\",\"sliding_window\":8,\"use_sliding_window\":true,\"max_window_layers\":"
         "3}",
         "---w"},
        {"{\"model_type\":\"qwen2\",\"sliding_window\":8,\"use_sliding_window\":true}", "----"},
        {"{\"model_type\":\"qwen3\",\"sliding_window\":8,\"use_sliding_window\":true,\"max_window_layers\":1,"
         "\"layer_types\":[\"sliding_attention\",\"full_attention\",\"sliding_attention\",\"full_attention\"]"
         "}",
         "w-w-"},
        {"{\"model_type\":\"smollm3\",\"sliding_window\":8,\"use_sliding_window\":true,"
         "\"no_rope_layers\":[1,0,1,0]}",
         "-w-w"},
        {"{\"model_type\":\"smollm3\",\"sliding_window\":8}", "----"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hf_config c;
        char layers[] = "----";
        bool good = read_changed(&c, NULL, cases[i].with) == OK;
        for (int l = 0, n = 0; good && c.sliding_window > 0 && l < 4; l++) {
            bool whole = n < c.n_whole_layers && c.whole_layers[n] == l;
            n += whole;
            layers[l] = whole ? '-' : 'w';
        }
        ok(good && !strcmp(layers, cases[i].layers) && (c.sliding_window == 8 || !strchr(layers, 'w')),
           "windows %s: %s", cases[i].with, good ? layers : status_text());
        if (good)
            hf_config_free(&c);
    }
}

/* Keys that the user answers for. */
static void test_ignore(void)
{
    static const char text[] =
        "{\"model_type\":\"llama\",\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":4,"
        "\"num_attention_heads\":4,\"vocab_size\":100,\"my.tool\":3,\"quantization_config\":{\"a\":1},"
        "\"rope_scaling\":{\"rope_type\":\"default\",\"mrope_rows\":32}}";
    static char tool[] = "my.tool", quantised[] = "quantization_config", inner[] = "rope_scaling.mrope_rows",
                absent[] = "absent";
    char *const all[] = {tool, quantised, inner, absent};
    static const char *const used[] = {"hidden_size",         "rope_scaling", "rope_scaling.factor",
                                       "tie_word_embeddings", "model_type",   "sliding_window",
                                       "coppice_moe_layers"};
    struct hf_config c;
    scratch_write("config.json", text, strlen(text));
    ok(hf_config_read(&c, scratch(""), all, 2) == E_DATA && says("model.ignore: [rope_scaling.mrope_rows]"),
       "one unknown key more than are ignored");
    ok(hf_config_read(&c, scratch(""), all, 4) == OK && c.n_notes == 3 && strstr(c.notes[0], "my.tool") &&
           strstr(c.notes[2], "model.ignore"),
       "ignored keys count as absent, with a line each");
    hf_config_free(&c);
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
        char *name = mem_text(used[i]);
        ok(hf_config_read(&c, scratch(""), &name, 1) == E_DECK && says("model.ignore") && says(name),
           "%s cannot be ignored", name);
        free(name);
    }
}

static void test_lengths(void)
{
    struct hf_config c;
    ok(read_changed(&c, NULL, "{\"max_sequence_length\":512}") == OK && c.max_positions == 512 &&
           c.n_notes == 0,
       "max_sequence_length alone");
    hf_config_free(&c);
    ok(read_changed(&c, NULL, "{\"max_sequence_length\":512,\"max_position_embeddings\":1024}") == OK &&
           c.max_positions == 1024 && c.n_notes == 1,
       "... beside max_position_embeddings, which counts");
    hf_config_free(&c);
}

static void test_not_a_config(void)
{
    struct hf_config c;
    ok(read_text(&c, "") == E_DATA && says("empty"), "an empty file");
    ok(read_text(&c, "[]") == E_DATA && says("not a JSON object"), "a list");
    ok(read_text(&c, "{\"model_type\":\"llama\",\"model_type\":\"llama\"}") == E_DATA && says("duplicate"),
       "a key twice");
    ok(read_text(&c, "{\"rms_norm_eps\":NaN}") == E_DATA && says("JSON"), "NaN");
    ok(hf_config_read(&c, "/nonexistent", NULL, 0) == E_DATA && says("/nonexistent/config.json"),
       "no such folder");
}

/* ---- reference files ---- */

static void test_reference_files(void)
{
    static const struct {
        const char *folder;
        long long hidden, intermediate, layers, heads, kv_heads, head_dim, vocab, experts, top_k;
        double theta, eps;
        int tied, bias, llama3, moe_layers;
    } cases[] = {
        {"golden/llama-mha", 64, 176, 2, 4, 4, 16, 257, 0, 0, 1e4, 1e-5, 0, 0, 0, -1},
        {"golden/llama-gqa-tied-odd", 60, 101, 3, 6, 2, 10, 131, 0, 0, 1e4, 1e-5, 1, 0, 0, -1},
        {"golden/llama-head-dim", 48, 128, 2, 4, 1, 24, 128, 0, 0, 1e4, 1e-5, 0, 0, 0, -1},
        {"golden/llama3-rope", 64, 160, 2, 4, 2, 32, 256, 0, 0, 5e5, 1e-5, 0, 0, 1, -1},
        {"golden/qwen2-bias", 64, 144, 2, 8, 4, 8, 199, 0, 0, 1e4, 1e-6, 0, 1, 0, -1},
        {"golden/mixtral-e4t2", 64, 96, 2, 4, 2, 16, 257, 4, 2, 1e4, 1e-5, 0, 0, 0, -1},
        {"golden/st-e6t1", 48, 64, 2, 4, 4, 12, 160, 6, 1, 1e4, 1e-5, 1, 0, 0, -1},
        {"golden/st-e8t3-renorm", 48, 64, 4, 4, 2, 12, 160, 8, 3, 1e4, 1e-5, 0, 0, 0, 2},
        {"data/smollm2-135m", 576, 1536, 30, 9, 3, 64, 49152, 0, 0, 1e5, 1e-5, 1, 0, 0, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *dir = shared(cases[i].folder);
        struct hf_config c;
        if (!dir) {
            ok(true, "%s # SKIP not there (set COPPICE_SHARED)", cases[i].folder);
            continue;
        }
        ok(hf_config_read(&c, dir, NULL, 0) == OK && c.hidden == cases[i].hidden &&
               c.intermediate == cases[i].intermediate && c.layers == cases[i].layers &&
               c.heads == cases[i].heads && c.kv_heads == cases[i].kv_heads &&
               c.head_dim == cases[i].head_dim && c.vocab == cases[i].vocab &&
               c.experts == cases[i].experts && c.top_k == cases[i].top_k && c.rope.theta == cases[i].theta &&
               c.norm_eps == cases[i].eps && c.tied == cases[i].tied && c.qkv_bias == cases[i].bias &&
               (c.rope.scaling == ROPE_LLAMA3) == cases[i].llama3 && c.n_moe_layers == cases[i].moe_layers,
           "%s", cases[i].folder);
        if (c.n_moe_layers == 2)
            ok(c.moe_layers[0] == 1 && c.moe_layers[1] == 3, "its MoE layers");
        hf_config_free(&c);
    }
}

/* ---- writing ---- */

static bool same_rope(const struct rope *a, const struct rope *b)
{
    return a->theta == b->theta && a->scaling == b->scaling && a->factor == b->factor &&
           a->low_freq == b->low_freq && a->high_freq == b->high_freq &&
           a->original_positions == b->original_positions && a->attention_factor == b->attention_factor &&
           a->beta_fast == b->beta_fast && a->beta_slow == b->beta_slow && a->mscale == b->mscale &&
           a->mscale_all_dim == b->mscale_all_dim && a->exact_bounds == b->exact_bounds;
}

static bool same_list(int n, const int *a, int m, const int *b)
{
    return n == m && (n <= 0 || memcmp(a, b, sizeof *a * (size_t)n) == 0);
}

static bool same(const struct hf_config *a, const struct hf_config *b)
{
    return strcmp(a->model_type, b->model_type) == 0 && a->hidden == b->hidden &&
           a->intermediate == b->intermediate && a->layers == b->layers && a->heads == b->heads &&
           a->kv_heads == b->kv_heads && a->head_dim == b->head_dim && a->vocab == b->vocab &&
           a->max_positions == b->max_positions && a->norm_eps == b->norm_eps &&
           same_rope(&a->rope, &b->rope) && a->tied == b->tied && a->qkv_bias == b->qkv_bias &&
           a->qk_norm == b->qk_norm && a->embedding_multiplier == b->embedding_multiplier &&
           a->attention_multiplier == b->attention_multiplier &&
           a->residual_multiplier == b->residual_multiplier && a->logits_scaling == b->logits_scaling &&
           a->sliding_window == b->sliding_window && a->n_whole_layers == b->n_whole_layers &&
           (a->n_whole_layers == 0 ||
            memcmp(a->whole_layers, b->whole_layers, (size_t)a->n_whole_layers * sizeof(int)) == 0) &&
           a->experts == b->experts && a->top_k == b->top_k && !a->carried == !b->carried &&
           (!a->carried || strcmp(a->carried, b->carried) == 0) &&
           same_list(a->n_moe_layers, a->moe_layers, b->n_moe_layers, b->moe_layers) &&
           same_list(a->n_bare_layers, a->bare_layers, b->n_bare_layers, b->bare_layers);
}

static int bare[] = {0, 2};

static struct hf_config example(const char *model_type)
{
    struct hf_config c = {.hidden = 64,
                          .intermediate = 96,
                          .layers = 4,
                          .heads = 4,
                          .kv_heads = 2,
                          .head_dim = 24,
                          .vocab = 100,
                          .max_positions = 512,
                          .norm_eps = 1e-5,
                          .rope.theta = 5e5,
                          .tied = true,
                          .n_moe_layers = -1};
    strcpy(c.model_type, model_type);
    c.qkv_bias = strcmp(model_type, "qwen2") == 0;
    c.qk_norm = strcmp(model_type, "qwen3") == 0;
    if (strcmp(model_type, "smollm3") == 0)
        c.n_bare_layers = 2, c.bare_layers = bare;
    if (strcmp(model_type, "granite") == 0)
        c.embedding_multiplier = 12, c.attention_multiplier = 0.25, c.residual_multiplier = 0.22,
        c.logits_scaling = 8;
    if (strcmp(model_type, "mixtral") == 0)
        c.experts = 8, c.top_k = 2;
    return c;
}

static void round_trip(struct hf_config c, const char *what)
{
    struct hf_config back;
    bool good = hf_config_write(&c, scratch(""), "bfloat16") == OK &&
                hf_config_read(&back, scratch(""), NULL, 0) == OK;
    ok(good && same(&c, &back), "%s: %s is written and read", c.model_type, what);
    if (!good)
        printf("# %s\n", status_text());
    else
        hf_config_free(&back);
}

static void test_write(void)
{
    static const char *const types[] = {"llama",   "mistral", "qwen2",  "qwen3",
                                        "smollm3", "granite", "mixtral"};
    int layers[2] = {1, 3};
    char ids[] =
        "{\"bos_token_id\":1,\"eos_token_id\":[2,3],\"pad_token_id\":null,\"initializer_range\":0.02}";
    for (int i = 0; i < 7; i++)
        round_trip(example(types[i]), "a plain one");
    struct hf_config c = example("llama");
    c.rope.scaling = ROPE_LLAMA3, c.rope.factor = 8, c.rope.low_freq = 1, c.rope.high_freq = 4,
    c.rope.original_positions = 64;
    round_trip(c, "llama3 rotary embeddings");
    c.rope = (struct rope){.theta = 5e5, .scaling = ROPE_LINEAR, .factor = 2.5};
    round_trip(c, "linear rotary embeddings");
    c.rope.scaling = ROPE_DYNAMIC;
    round_trip(c, "dynamic rotary embeddings");
    c.rope = (struct rope){5e5, ROPE_YARN, 4, 0, 0, 64, 1.25, 24, 2, 0.7, 1.3, true};
    round_trip(c, "yarn rotary embeddings");
    c = example("llama");
    c.carried = ids;
    round_trip(c, "token ids");
    c = example("mistral");
    c.sliding_window = 256;
    round_trip(c, "a sliding window");
    static int whole[] = {0, 2};
    c = example("qwen3");
    c.sliding_window = 16, c.n_whole_layers = 2, c.whole_layers = whole;
    round_trip(c, "a sliding window in some layers");
    c = example("mixtral");
    c.n_moe_layers = 2, c.moe_layers = layers;
    ok(hf_config_write(&c, scratch(""), "float32") == E_DATA && says("every layer"),
       "mixtral has no dense layers");
    c = example("llama");
    c.experts = 8;
    ok(hf_config_write(&c, scratch(""), "float32") == E_DATA && says("8 experts"), "llama has no experts");
    c = example("mixtral");
    c.qkv_bias = true;
    ok(hf_config_write(&c, scratch(""), "float32") == E_DATA && says("biases"), "mixtral has no biases");
    c = example("qwen2");
    ok(hf_config_write(&c, "/nonexistent", "float32") == E_SPACE && says("/nonexistent"), "no such folder");
}

int main(void)
{
    test_new_form();
    test_defaults();
    test_moe_layers();
    test_changes();
    test_windows();
    test_ignore();
    test_lengths();
    test_not_a_config();
    test_reference_files();
    test_write();
    scratch_remove();
    return tap_done();
}
