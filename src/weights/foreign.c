#include "weights/foreign.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static const char EMBED_NAME[] = "model.embed_tokens.weight", HEAD_NAME[] = "lm_head.weight";

/* ---- tied heads ---- */

int foreign_tied_head(const struct model *m, const struct source *s)
{
    return m->config.tied && source_find(s, EMBED_NAME) >= 0 ? source_find(s, HEAD_NAME) : -1;
}

static status head_differs(const struct source *s, int head, int64_t row)
{
    const struct array *a = &s->array[head];
    return fail(
        E_DATA,
        "%s: config.json says tie_word_embeddings: true, but %s differs from %s (row %lld is the first). To "
        "use the stored head, set tie_word_embeddings to false in config.json; to use the embedding, take "
        "%s out of %s",
        s->path, HEAD_NAME, EMBED_NAME, (long long)row, HEAD_NAME, a->file ? a->file : "the file");
}

/* Compare rows [box.lo[1], box.lo[1] + box.n[1]) of both arrays. `both` has room for all of them. */
static status compare_rows(struct source *s, int embed, int head, slab box, float *both, int64_t *bytes_read)
{
    int64_t n = slab_size(&box), columns = box.n[2];
    float *x = both, *y = both + n;
    TRY(source_read(s, embed, box, x, bytes_read));
    TRY(source_read(s, head, box, y, bytes_read));
    if (memcmp(x, y, (size_t)n * sizeof *x) == 0)
        return OK;
    int64_t row = 0;
    while (memcmp(x + row * columns, y + row * columns, (size_t)columns * sizeof *x) == 0)
        row++;
    return head_differs(s, head, box.lo[1] + row);
}

status foreign_check_head(struct source *s, int head, int part, int parts, int64_t *bytes_read)
{
    enum { CHUNK = 1 << 18 };
    int embed = source_find(s, EMBED_NAME);
    const int64_t *dim = s->array[embed].dim;
    int64_t step = dim[2] < CHUNK ? CHUNK / dim[2] : 1, row = dim[1] * part / parts;
    int64_t end = dim[1] * (part + 1) / parts;
    float *both = mem_new(mem_mul(2 * step, dim[2]), sizeof *both);
    status code = OK;
    for (; row < end && code == OK; row += step) {
        slab box = {{0, row, 0}, {1, end - row < step ? end - row : step, dim[2]}};
        code = compare_rows(s, embed, head, box, both, bytes_read);
    }
    free(both);
    return code;
}

/* ---- experts that are not there ---- */

bool foreign_zeros(struct source *s, int array)
{
    const int64_t *dim = s->array[array].dim;
    slab all = {{0, 0, 0}, {dim[0], dim[1], dim[2]}};
    int64_t n = slab_size(&all), bytes = 0;
    float *x = mem_new(n, sizeof *x);
    bool zeros = source_read(s, array, all, x, &bytes) == OK;
    for (int64_t i = 0; i < n && zeros; i++)
        zeros = x[i] == 0;
    free(x);
    return zeros;
}

/* ---- names ---- */

/* What it means if a name has such a part. */
static const struct {
    const char *part, *is;
} kinds[] = {
    {"lora_A", "a LoRA adapter is not a model: merge it into its base model first (peft: merge_and_unload)"},
    {".qweight", "quantised weights (GPTQ, AWQ) are not supported: use the original weights"},
    {".weight_scale",
     "quantised weights (FP8, compressed-tensors) are not supported: use the original weights"},
    {".weight_packed", "quantised weights (compressed-tensors) are not supported: use the original weights"},
    {".weight.absmax", "quantised weights (bitsandbytes) are not supported: use the original weights"},
    {".SCB", "quantised weights (bitsandbytes) are not supported: use the original weights"},
    {"attention.wq.weight", "Meta's own names: convert with transformers' convert_llama_weights_to_hf.py"},
    {"self_attn.q_norm.weight",
     "only models of type qwen3 and qwen3_moe normalise queries and keys here; OLMo 2 is not supported"},
    {"self_attn.qkv_proj.weight", "fused Q, K and V (Phi-3's names) are not supported"},
    {"transformer.h.0.", "names of GPT-2's family, not of Llama's"},
    {"score.weight", "a classifier's or reward model's head; only language models are supported"},
};

/* A model that was saved inside a wrapper has the wrapper's name before all others. */
static char *prefix_hint(const struct source *s)
{
    static const char inner[] = "layers.0.input_layernorm.weight";
    for (int i = 0; i < s->n; i++) {
        const char *name = s->array[i].name, *at = strstr(name, inner);
        int n = at ? (int)(at - name) : 0;
        if (!at || at[sizeof inner - 1] || (n == 6 && !strncmp(name, "model.", 6)))
            continue;
        if (n == 0)
            return mem_text(
                "the names lack \"model.\": the model was saved without its language-model head, as a "
                "bare decoder; save the whole causal language model, or rename the arrays");
        return mem_format("the names begin with \"%.*s\" where \"model.\" is expected, which a wrapper adds "
                          "(DistributedDataParallel: module., torch.compile: _orig_mod., models of images: "
                          "language_model.); rename the arrays",
                          n, name);
    }
    return NULL;
}

char *foreign_hint(const struct source *s)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int i = 0; i < s->n; i++)
            if (strstr(s->array[i].name, kinds[k].part))
                return mem_text(kinds[k].is);
    return prefix_hint(s);
}
