/* coppice tokenize --tokenizer PATH INPUT... --out PREFIX: make PREFIX.bin and PREFIX.idx from text files,
 * and PREFIX.json, which says how they were made. Without MPI; OMP_NUM_THREADS sets the number of threads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/terminal.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "comm/launch.h"
#include "config.h"
#include "format/tokens.h"
#include "text/prepare.h"

/* ---- arguments ---- */

static status check_arguments(const struct options *o)
{
    if (!o->tokenizer)
        return fail(
            E_DECK,
            "coppice tokenize needs --tokenizer PATH: a tokenizer.json, or a model's folder that has one");
    if (!o->out)
        return fail(E_DECK,
                    "coppice tokenize needs --out PREFIX: it writes PREFIX.bin, PREFIX.idx and PREFIX.json");
    if (!o->n_files)
        return fail(E_DECK, "coppice tokenize needs text files, or - for standard input");
    if (o->no_eod && o->eod)
        return fail(E_DECK, "--eod and --no-eod exclude each other");
    return comm_one_task("coppice tokenize works", "");
}

/* E_DECK if one of the files exists, so that nothing is overwritten. */
static status check_out(const char *prefix)
{
    static const char *const ends[] = {".bin", ".idx", ".json"};
    for (int i = 0; i < 3; i++) {
        char *path = mem_format("%s%s", prefix, ends[i]);
        status s = io_exists(path) ? fail(E_DECK, "%s: exists; remove it, or give another --out", path) : OK;
        free(path);
        TRY(s);
    }
    return OK;
}

/* Find the token that ends a document: --eod, an id or a token's text; else the tokenizer's. */
static status find_eod(const struct options *o, const struct tokenizer *t, int32_t *eod)
{
    char *end = NULL;
    *eod = -1;
    if (o->no_eod)
        return OK;
    *eod = tokenizer_eos(t);
    if (!o->eod)
        return *eod >= 0 ? OK
                         : fail(E_DECK,
                                "%s: which token ends a text is not known; give --eod TOKEN (an id or its "
                                "text), or --no-eod",
                                tokenizer_path(t));
    *eod = tokenizer_id(t, o->eod);
    long long id = *eod < 0 ? strtoll(o->eod, &end, 10) : *eod;
    if (id < 0 || id >= tokenizer_vocabulary(t) || (end && (*end || end == o->eod)))
        return fail(E_DECK, "--eod: %s is neither a token nor an id below %lld", o->eod,
                    (long long)tokenizer_vocabulary(t));
    *eod = (int32_t)id;
    return OK;
}

/* ---- progress ---- */

/* The bytes of all files; -1 if one has no size. */
static int64_t total_bytes(const struct options *o)
{
    int64_t sum = 0;
    for (int i = 0; i < o->n_files; i++) {
        struct stat about;
        if (io_stat(o->files[i], &about) != 0 || !S_ISREG(about.st_mode))
            return -1;
        sum += about.st_size;
    }
    return sum;
}

static void show_progress(void *context, const struct prepare *p, double seconds)
{
    int64_t all = *(int64_t *)context;
    char tokens[32], rate[32], left[32];
    text_count(tokens, (double)p->total.tokens);
    text_count(rate, (double)p->total.tokens / seconds);
    if (all > 0 && p->consumed > 0)
        printf("\033[K%3.0f %%, %s tokens, %s tokens/s, left %s\r", 100.0 * (double)p->consumed / (double)all,
               tokens, rate, text_time(left, seconds * (double)(all - p->consumed) / (double)p->consumed));
    else
        printf("\033[K%s tokens, %s tokens/s\r", tokens, rate);
    fflush(stdout);
}

/* ---- results ---- */

static json_t *counts(const struct prepared *x)
{
    return json_pack("{sIsIsI}", "documents", (json_int_t)x->documents, "tokens", (json_int_t)x->tokens,
                     "text_bytes", (json_int_t)x->text_bytes);
}

static status write_about(const struct prepare *p, const char *prefix)
{
    char digest[20], *path = mem_format("%s.json", prefix);
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)tokenizer_digest(p->tokenizer));
    json_t *root = counts(&p->total), *sources = json_array();
    json_object_set_new(root, "tokenizer",
                        json_pack("{sssssI}", "file", tokenizer_path(p->tokenizer), "xxh3", digest,
                                  "vocabulary", (json_int_t)tokenizer_vocabulary(p->tokenizer)));
    json_object_set_new(root, "end_of_document", p->eod >= 0 ? json_integer(p->eod) : json_null());
    json_object_set_new(root, "special_tokens", json_boolean(p->special));
    json_object_set_new(root, "empty_documents_left_out", json_integer(p->empty));
    json_object_set_new(root, "characters_left_out", json_integer(p->left_out));
    json_object_set_new(root, "coppice", json_string(PACKAGE_VERSION " (" COPPICE_REVISION ")"));
    for (int i = 0; i < p->n; i++) {
        json_t *source = counts(&p->of[i]);
        json_object_set_new(source, "path", json_string(p->path[i]));
        json_array_append_new(sources, source);
    }
    json_object_set_new(root, "sources", sources);
    status s = json_write_file(root, path, 2);
    json_decref(root);
    free(path);
    return s;
}

static void tell(const struct prepare *p, const char *prefix, double seconds)
{
    char tokens[32], rate[32], time[32], documents[48], *eod = tokenizer_token(p->tokenizer, p->eod);
    log_say("tokenized   %s, %s tokens in %s (%s tokens/s) -> %s.bin, .idx, .json",
            text_n(documents, p->total.documents, "document"), text_grouped(tokens, p->total.tokens),
            text_time(time, seconds), text_count(rate, (double)p->total.tokens / seconds), prefix);
    log_say("ids         %s, vocabulary %lld, %s%s%s", prepare_type(p->tokenizer) == 8 ? "u16" : "i32",
            (long long)tokenizer_vocabulary(p->tokenizer),
            p->eod >= 0 ? "each document ends with " : "no end-of-document token", eod, "");
    if (p->empty)
        log_say("empty       %s left out", text_n(documents, p->empty, "document"));
    if (p->left_out)
        log_warn("%s no token for them and were left out", text_n(documents, p->left_out, "character has"));
    free(eod);
}

static status prepare(const struct options *o, const struct tokenizer *t, const char *prefix)
{
    int64_t all = total_bytes(o);
    double begin = clock_seconds();
    struct prepare p = {.tokenizer = t,
                        .path = o->files,
                        .n = o->n_files,
                        .records = {.field = o->field, .blank = o->split_blank},
                        .special = o->special,
                        .context = &all};
    TRY(find_eod(o, t, &p.eod));
    p.progress = !o->quiet && terminal_watched(false) ? show_progress : NULL;
    p.of = mem_new(p.n, sizeof *p.of);
    status s = prepare_run(&p, prefix);
    if (p.progress)
        printf("\033[K");
    if (s == OK)
        s = write_about(&p, prefix);
    if (s == OK)
        tell(&p, prefix, clock_seconds() - begin);
    free(p.of);
    return s;
}

/* The folder of the files to write. */
static status make_folder(const char *prefix)
{
    const char *slash = strrchr(prefix, '/');
    char *folder = mem_format("%.*s", slash ? (int)(slash - prefix) : 0, prefix);
    status s = *folder ? file_make_folders(folder) : OK;
    free(folder);
    return s;
}

static status run(const struct options *o)
{
    struct tokenizer *t = NULL;
    TRY(check_arguments(o));
    char *prefix = tokens_prefix(o->out);
    status s = check_out(prefix);
    if (s == OK)
        s = tokenizer_open(&t, o->tokenizer);
    if (s == OK)
        s = make_folder(prefix);
    if (s == OK)
        s = prepare(o, t, prefix);
    tokenizer_close(t);
    free(prefix);
    return s;
}

int cmd_tokenize(int argc, char **argv)
{
    struct options o;
    log_open(true, false);
    status code = options_parse(&o, argc, argv);
    log_open(true, o.quiet);
    if (code == OK)
        code = run(&o);
    if (code != OK)
        log_error(status_text());
    options_free(&o);
    return code;
}
