/* coppice inspect PATH [--all] [--json] [--verify] [--diff PATH] [--set model.ignore=[KEY]]: what a Hugging
 * Face directory, a checkpoint or a token set is, and whether it can be used; or how another model differs.
 * Without MPI. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/printable.h"
#include "base/text.h"
#include "ckpt/text.h"
#include "cmd/commands.h"
#include "cmd/inspect.h"
#include "cmd/options.h"
#include "cmd/subject.h"

/* ---- for people ---- */

static void show_config(const struct config *c)
{
    static const char *const rope[] = {"", " (llama3 scaling)", " (linear scaling)", " (dynamic scaling)",
                                       " (yarn scaling)"};
    char text[96], a[32], b[32];
    log_say("shape       %s", config_text(c, text));
    log_say("parameters  %s, %s active", text_count(a, (double)config_parameters(c)),
            text_count(b, (double)config_active_parameters(c)));
    log_say("attention   %lld heads of %lld over %lld KV heads, rotary theta %g%s%s%s", (long long)c->heads,
            (long long)c->head_dim, (long long)c->kv_heads, c->rope.theta, rope[c->rope.scaling],
            c->qkv_bias ? ", biases on Q, K, V" : "", c->qk_norm ? ", norms of Q and K" : "");
    log_say("ffn         %lld%s", (long long)c->ffn, c->moe.experts ? " in each expert" : "");
    log_say("vocabulary  %lld, head %s", (long long)c->vocab,
            c->tied ? "tied to the embedding" : "of its own");
    if (c->moe.experts > 0)
        log_say("experts     %lld, top %lld, in %lld of %lld layers", (long long)c->moe.experts,
                (long long)c->moe.top_k, (long long)config_moe_layers(c), (long long)c->layers);
}

char *shape_text(char out[96], const struct array *a)
{
    int n = a->dim[0] > 1 ? snprintf(out, 96, "%lld x ", (long long)a->dim[0]) : 0;
    if (a->dim[0] > 1 || a->dim[1] > 1)
        n += snprintf(out + n, 96 - (size_t)n, "%lld x ", (long long)a->dim[1]);
    snprintf(out + n, 96 - (size_t)n, "%lld", (long long)a->dim[2]);
    return out;
}

const char *type_text(const struct array *a)
{
    return a->type_name ? a->type_name : "F32";
}

static void show_arrays(const struct source *s)
{
    log_say("%-64s %-5s %s", "tensor", "type", "shape");
    for (int i = 0; i < s->n; i++) {
        const struct array *a = &s->array[i];
        char shape[96];
        log_say("%-64s %-5s %s", a->name, type_text(a), shape_text(shape, a));
    }
}

static void show_directory(const struct subject *s)
{
    log_say("model       %s (%s)", s->path, s->hf.model_type);
    for (int i = 0; i < s->hf.n_notes; i++)
        log_say("note        %s", s->hf.notes[i]);
}

/* The bytes of all arrays in the files. */
static double stored_bytes(const struct source *s)
{
    double sum = 0;
    for (int i = 0; i < s->n; i++)
        sum += (double)s->array[i].dim[0] * (double)s->array[i].dim[1] * (double)s->array[i].dim[2] *
               (double)s->array[i].element_bytes;
    return sum;
}

/* Of weights and moments. */
static double saved_bytes(const struct ckpt_index *x)
{
    double sum = 0;
    for (int i = 0; i < x->n_extents; i++)
        sum += (double)x->extent[i].shard.part.n * sizeof(float);
    return sum;
}

/* "Coppice 0.2 (abc), HDF5 1.10.8, Open MPI 4.1.4 | 4 ranks on 1 host, tensor 2, expert 2" */
static void show_about(const struct ckpt_index *x)
{
    json_t *about = NULL;
    const char *program = NULL, *hdf5 = NULL, *mpi = NULL;
    int hosts = 0, ranks = 0, tensor = 0, expert = 0, expert_tensor = 0;
    if (!x->about || json_parse(&about, "about", x->about, (int64_t)strlen(x->about)) != OK)
        return;
    if (json_unpack(about, "{ss ss ss s{si si si si si}}", "program", &program, "hdf5", &hdf5, "mpi", &mpi,
                    "layout", "hosts", &hosts, "ranks", &ranks, "tensor", &tensor, "expert", &expert,
                    "expert_tensor", &expert_tensor) == 0)
        log_say("written by  %s, HDF5 %s, %s | ranks %d, hosts %d, tensor %d, expert %d, expert_tensor %d",
                program, hdf5, mpi, ranks, hosts, tensor, expert, expert_tensor);
    json_decref(about);
}

static void show_checkpoint(const struct subject *s)
{
    const struct ckpt_index *x = &s->index;
    char bytes[32];
    log_say("checkpoint  %s", s->path);
    log_say("state       step %lld, %lld samples, %lld tokens, leg %lld", (long long)x->state.step,
            (long long)x->state.samples, (long long)x->state.tokens, (long long)x->state.leg);
    log_say("files       %d, %d extents, %s with its moments", x->n_files, x->n_extents,
            text_bytes(bytes, saved_bytes(x)));
    if (*x->state.run)
        log_say("run         %s", x->state.run);
    show_about(x);
    log_say("hashes      weights %016llx  moments %016llx %016llx", (unsigned long long)x->hash[MASTER],
            (unsigned long long)x->hash[MOMENT1], (unsigned long long)x->hash[MOMENT2]);
}

/* Is it a checkpoint, or a run folder without a usable one? A path that is neither counts as a model. */
static bool is_checkpoint(const struct subject *s, status code)
{
    return (s->checkpoint && s->path) || code == E_NOCKPT;
}

/* Print whether it can be trained, or continued. */
static void show_verdict(const struct subject *s, status code)
{
    bool checkpoint = is_checkpoint(s, code);
    const char *verdict = checkpoint ? "continues  " : "trainable  ";
    if (code != OK)
        log_say("%s no, because %s", verdict, status_text());
    else if (checkpoint)
        log_say("%s yes, from step %lld on, with any number of ranks", verdict,
                (long long)s->index.state.step);
    else
        log_say("%s yes", verdict);
}

static void show(const struct subject *s, status code, bool all)
{
    char text[48], bytes[32];
    show_verdict(s, code);
    if (s->described)
        (s->checkpoint ? show_checkpoint : show_directory)(s);
    if (s->shaped)
        show_config(&s->config);
    if (!s->arrays)
        return;
    log_say("tensors     %s, %s%s", text_n(text, s->arrays->n, "tensor"),
            text_bytes(bytes, stored_bytes(s->arrays)), all ? "" : " (--all: a line for each)");
    (all ? show_arrays : kinds_show)(s->arrays);
}

/* ---- for programs ---- */

static json_t *arrays_json(const struct source *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->n; i++) {
        const struct array *a = &s->array[i];
        json_array_append_new(list,
                              json_pack("{sssss[III]}", "name", a->name, "type", type_text(a), "shape",
                                        (json_int_t)a->dim[0], (json_int_t)a->dim[1], (json_int_t)a->dim[2]));
    }
    return list;
}

static json_t *config_json(const struct config *c)
{
    json_t *value = NULL;
    char *text = config_to_json(c);
    if (json_parse(&value, "config", text, (int64_t)strlen(text)) != OK)
        bug("%s", status_text());
    free(text);
    return value;
}

static json_t *state_json(const struct ckpt_index *x)
{
    char hash[3][20];
    for (int i = 0; i < 3; i++)
        snprintf(hash[i], sizeof hash[i], "%016llx", (unsigned long long)x->hash[MASTER + i]);
    return json_pack("{sIsIsIsIs[sss]}", "step", (json_int_t)x->state.step, "samples",
                     (json_int_t)x->state.samples, "tokens", (json_int_t)x->state.tokens, "leg",
                     (json_int_t)x->state.leg, "hashes", hash[0], hash[1], hash[2]);
}

json_t *json_clean(const char *text)
{
    char *clean = text_mask(mem_text(text));
    json_t *value = json_string(clean);
    free(clean);
    return value;
}

static void show_json(const struct subject *s, const char *path, status code)
{
    json_t *all = json_pack("{soss sb so}", "path", json_clean(s->path ? s->path : path), "kind",
                            is_checkpoint(s, code) ? "checkpoint" : "model", "good", code == OK, "error",
                            code == OK ? json_null() : json_clean(status_text()));
    if (s->checkpoint && s->described)
        json_object_set_new(all, "state", state_json(&s->index));
    if (s->shaped) {
        json_object_set_new(all, "config", config_json(&s->config));
        json_object_set_new(all, "parameters", json_integer(config_parameters(&s->config)));
        json_object_set_new(all, "active_parameters", json_integer(config_active_parameters(&s->config)));
    }
    if (s->arrays)
        json_object_set_new(all, "tensors", arrays_json(s->arrays));
    json_print(all);
}

/* ---- the command ---- */

/* A model directory has no digests. */
static status verify(const struct subject *s)
{
    enum { THREADS = 4 };
    return s->checkpoint ? ckpt_verify(&s->index, s->path, THREADS)
                         : fail(E_DECK, "--verify: %s is no checkpoint: it has no digests", s->path);
}

static status inspect(const struct options *o, const struct paths *ignore)
{
    struct subject s;
    if (inspect_names_tokens(o->files[0]))
        return inspect_tokens(o->files[0], o->json);
    status code = subject_open(&s, o->files[0], ignore);
    if (code == OK && o->verify)
        code = verify(&s);
    if (o->json)
        show_json(&s, o->files[0], code);
    else
        show(&s, code, o->all);
    subject_close(&s);
    return code;
}

static status diff(const struct options *o, const struct paths *ignore)
{
    struct subject a, b = {0};
    status code = subject_open(&a, o->files[0], ignore);
    if (code == OK)
        code = subject_open(&b, o->diff, ignore);
    if (code == OK)
        code = subject_diff(&a, &b);
    subject_close(&a);
    subject_close(&b);
    return code;
}

int cmd_inspect(int argc, char **argv)
{
    struct options o;
    struct deck deck; /* for --set model.ignore=[...] */
    deck_init(&deck);
    log_open(true, false);
    status code = options_parse(&o, argc, argv);
    log_open(true, o.quiet);
    if (code == OK && o.n_files != 1)
        code = fail(E_DECK,
                    "coppice inspect needs one Hugging Face directory, run folder, checkpoint or token set");
    if (code == OK)
        code = deck_read(&deck, 0, NULL, o.n_set, o.set);
    if (code == OK)
        code = (o.diff ? diff : inspect)(&o, &deck.model.ignore);
    if (code != OK && code != E_DIFFERENT && !o.json)
        log_error(status_text());
    deck_free(&deck);
    options_free(&o);
    return code;
}
