/* coppice inspect PATH [--json]: what a Hugging Face directory or a checkpoint is, and whether it can
 * be trained. No MPI. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "ckpt/ckpt.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "weights/names.h"
#include "weights/shape.h"

static bool holds(const char *dir, const char *name)
{
    char *path = mem_format("%s/%s", dir, name);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

static void show_config(const struct config *c)
{
    char text[96], a[32], b[32];
    log_say("shape       %s", config_text(c, text));
    log_say("parameters  %s, %s active", text_count(a, (double)config_parameters(c)),
            text_count(b, (double)config_active_parameters(c)));
    log_say("attention   %lld heads of %lld over %lld KV heads, rotary theta %g%s%s", (long long)c->heads,
            (long long)c->head_dim, (long long)c->kv_heads, c->rope.theta, c->rope.llama3 ? " (llama3 scaling)" : "",
            c->qkv_bias ? ", biases on Q, K, V" : "");
    log_say("ffn         %lld%s", (long long)c->ffn, c->moe.experts ? " in each expert" : "");
    log_say("vocabulary  %lld, head %s", (long long)c->vocab, c->tied ? "tied to the embedding" : "of its own");
    if (c->moe.experts > 0)
        log_say("experts     %lld, top %lld, in %lld of %lld layers", (long long)c->moe.experts, (long long)c->moe.top_k,
                (long long)config_moe_layers(c), (long long)c->layers);
}

static void show_arrays(const struct source *s)
{
    log_say("%-64s %-5s %s", "tensor", "type", "shape");
    for (int i = 0; i < s->n; i++) {
        const struct array *a = &s->array[i];
        char shape[96];
        int n = a->dim[0] > 1 ? snprintf(shape, sizeof shape, "%lld x ", (long long)a->dim[0]) : 0;
        if (a->dim[0] > 1 || a->dim[1] > 1)
            n += snprintf(shape + n, sizeof shape - (size_t)n, "%lld x ", (long long)a->dim[1]);
        snprintf(shape + n, sizeof shape - (size_t)n, "%lld", (long long)a->dim[2]);
        log_say("%-64s %-5s %s", a->name, a->type_name ? a->type_name : "F32", shape);
    }
}

/* ---- a Hugging Face directory ---- */

/* Do the files hold exactly what the shape needs? Every tensor, by name and size. */
static status check_arrays(const struct config *c, struct source *source)
{
    struct layout alone;
    struct layout_needs needs = config_needs(c);
    char *why = layout_make(&alone, 1, 1, 1, 1, &needs);
    if (why)
        bug("one rank does not fit: %s", why);
    struct model m;
    model_open(&m, c, &alone);
    struct map *maps = mem_new(m.n_tensors, sizeof *maps);
    status code = names_maps(&m, source, maps);
    for (int i = 0; i < m.n_tensors; i++)
        map_free(&maps[i]);
    free(maps);
    model_close(&m);
    return code;
}

/* Can each be read as numbers? Its first element tells. */
static status check_types(struct source *source)
{
    const slab first = {.n = {1, 1, 1}};
    int64_t bytes = 0;
    for (int i = 0; i < source->n; i++) {
        float value;
        TRY(source_read(source, i, first, &value, &bytes));
    }
    return OK;
}

static status inspect_weights(const char *dir, const struct config *c)
{
    struct source *source = NULL;
    TRY(source_open_hf(&source, dir));
    show_arrays(source);
    status code = check_arrays(c, source);
    if (code == OK)
        code = check_types(source);
    source_close(source);
    return code;
}

static status inspect_config(const char *dir, struct config *c)
{
    struct hf_config hf;
    TRY(hf_config_read(&hf, dir));
    log_say("model       %s (%s)", dir, hf.model_type);
    for (int i = 0; i < hf.n_notes; i++)
        log_say("note        %s", hf.notes[i]);
    status code = config_from_hf(c, &hf);
    hf_config_free(&hf);
    if (code == OK)
        code = config_check(c);
    if (code == OK)
        show_config(c);
    return code;
}

static status inspect_hf(const char *dir)
{
    struct config c;
    status code = inspect_config(dir, &c);
    if (code == OK)
        code = inspect_weights(dir, &c);
    log_say(code == OK ? "trainable   yes" : "trainable   no, because %s", status_text());
    return code;
}

/* ---- a checkpoint ---- */

static status inspect_checkpoint(const char *dir)
{
    struct ckpt_index index;
    struct source *source = NULL;
    TRY(ckpt_index_read(&index, dir));
    log_say("checkpoint  %s", dir);
    log_say("state       step %lld, %lld samples, %lld tokens, leg %lld", (long long)index.state.step,
            (long long)index.state.samples, (long long)index.state.tokens, (long long)index.state.leg);
    show_config(&index.config);
    log_say("files       %d, %d extents", index.n_files, index.n_extents);
    log_say("hashes      weights %016llx  moments %016llx %016llx", (unsigned long long)index.hash[MASTER],
            (unsigned long long)index.hash[MOMENT1], (unsigned long long)index.hash[MOMENT2]);
    ckpt_index_free(&index);
    TRY(ckpt_source(&source, dir));
    show_arrays(source);
    source_close(source);
    return OK;
}

static status run_inspect(const struct options *o)
{
    if (o->n_files != 1)
        return fail(E_DECK, "coppice inspect needs one Hugging Face directory, run folder or checkpoint");
    if (holds(o->files[0], "config.json"))
        return inspect_hf(o->files[0]);
    char *dir = NULL;
    TRY(ckpt_resolve(o->files[0], &dir));
    status code = inspect_checkpoint(dir);
    free(dir);
    return code;
}

int cmd_inspect(int argc, char **argv)
{
    struct options o;
    log_open(true, false);
    status code = options_parse(&o, argc, argv, "");
    if (code == OK)
        code = run_inspect(&o);
    if (code != OK)
        log_error(status_text());
    options_free(&o);
    return code;
}
