/* coppice generate MODEL --prompt TEXT...: go on with texts, on any layout. Rank 0 prints them in order, each
 * token as it comes; --out writes a line of JSON for each text. */
#include "eval/generate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/printable.h"
#include "base/terminal.h"
#include "cmd/commands.h"
#include "cmd/session.h"
#include "format/hf_ends.h"
#include "text/growing.h"
#include "text/records.h"

enum { TOKENS = 128 };

/* A text as people see it. */
struct text {
    char *prompt;
    struct growing growing;
    struct bytes said; /* what follows the prompt */
    int64_t printed;   /* bytes of it */
};

struct generation {
    struct session s;
    struct generate g;
    struct encoder *encoder;
    struct text *text; /* [g.n] */
    struct ids ends;
    int64_t shown;      /* the text that is printed while it grows */
    bool begun;         /* its prompt was printed */
    bool prints, masks; /* on this rank; to a terminal, which no text may control */
    struct file_draft out;
    double begin;
};

/* ---- what is asked ---- */

static void add_prompt(struct generation *x, const char *text, int64_t n)
{
    if (x->g.n % 64 == 0)
        x->text = mem_grow(x->text, x->g.n + 64, sizeof *x->text);
    x->text[x->g.n++] = (struct text){.prompt = mem_format("%.*s", (int)n, text)};
}

static status add_record(struct generation *x, const char *path, const struct record *r,
                         const struct record_options *how)
{
    struct record_hold hold;
    const char *text;
    int64_t n;
    status code = record_text(r, how, &hold, &text, &n);
    if (code == OK && memchr(text, 0, (size_t)n))
        code = fail(E_DATA, "a text with NUL");
    if (code == OK)
        add_prompt(x, text, n);
    record_end(&hold);
    return code == OK ? OK : fail(code, "%s:%lld: %s", path, (long long)r->line, status_text());
}

static status read_prompts(struct generation *x, char *path)
{
    struct record_options how = {.field = x->s.options.field, .lines = true};
    struct records *all;
    struct record r = {0};
    bool there = true;
    records_open(&all, &path, 1, &how);
    status code = records_next(all, &r, &there);
    for (; code == OK && there; code = code == OK ? records_next(all, &r, &there) : code)
        code = add_record(x, path, &r, &how);
    records_close(all);
    free(r.raw.at);
    return code;
}

static status check_options(const struct options *o)
{
    if (o->n_prompt == 0 && !o->prompts)
        return fail(E_DECK, "coppice generate needs --prompt TEXT, or --prompts FILE");
    if (o->prompts && !strcmp(o->prompts, "-"))
        return fail(E_DECK, "--prompts -: every rank reads the prompts; give a file");
    if (o->field && !o->prompts)
        return fail(E_DECK, "--field names the text in the JSON lines of --prompts FILE");
    if (!isnan(o->top_p) && !(o->top_p > 0 && o->top_p <= 1))
        return fail(E_DECK, "--top-p: expected a number above 0 and up to 1");
    bool draws = isnan(o->temperature) ? !isnan(o->top_p) : o->temperature > 0;
    if (!draws && (o->seed || !isnan(o->top_p)))
        return fail(E_DECK, "%s has no effect where the likeliest token is taken; give --temperature T",
                    o->seed ? "--seed" : "--top-p");
    return OK;
}

static struct sampling sampling_of(const struct options *o)
{
    bool p = !isnan(o->top_p);
    return (struct sampling){.temperature = !isnan(o->temperature) ? o->temperature
                                            : p                    ? 1
                                                                   : 0,
                             .top_p = p ? o->top_p : 1,
                             .seed = (uint64_t)(o->seed ? o->seed : 1)};
}

static status read_ends(struct generation *x)
{
    const struct carried *c = &x->s.shapes.target.carried;
    int32_t ends[ENDS_MOST], eos = tokenizer_eos(x->s.tokenizer);
    int n;
    TRY(hf_ends(c->folder, c->keys, ends, &n));
    ids_add(&x->ends, ends, n);
    if (n == 0 && eos >= 0)
        ids_add(&x->ends, &eos, 1);
    x->g.ends = &x->ends;
    return OK;
}

/* The most tokens of a text: rotary positions whose base grows with the text have no end. */
static int64_t most_tokens(const struct config *c)
{
    return c->rope.scaling == ROPE_DYNAMIC ? INT32_MAX : c->max_positions;
}

/* A text begins with what the tokenizer puts before it, an empty one at least with a token. */
static status encode_prompt(struct generation *x, int64_t i, int64_t most)
{
    struct continuation *t = &x->g.text[i];
    const char *prompt = x->text[i].prompt;
    int32_t first = tokenizer_bos(x->s.tokenizer);
    if (encode(x->encoder, prompt, (int64_t)strlen(prompt), true, &t->ids) != OK)
        return fail(E_DECK, "prompt %lld: %s", (long long)i + 1, status_text());
    if (t->ids.n == 0)
        ids_add(&t->ids, first >= 0 ? &first : x->ends.at, first >= 0 || x->ends.n > 0);
    if (t->ids.n == 0)
        return fail(E_DECK, "prompt %lld has no token, and the tokenizer knows none that begins a text",
                    (long long)i + 1);
    t->prompt = t->ids.n;
    for (int64_t k = 0; k < t->ids.n; k++)
        if (t->ids.at[k] >= x->g.vocab)
            return fail(E_DECK, "prompt %lld: token %d is not in the model's vocabulary", (long long)i + 1,
                        t->ids.at[k]);
    return t->prompt <= most
               ? OK
               : fail(E_DECK, "prompt %lld has %lld tokens, more than the model's %lld positions",
                      (long long)i + 1, (long long)t->prompt, (long long)most);
}

static status read_all(struct generation *x)
{
    const struct options *o = &x->s.options;
    int64_t most = x->s.shapes.target.max_positions;
    TRY(check_options(o));
    TRY(session_open_tokenizer(&x->s));
    TRY(read_ends(x));
    for (int i = 0; i < o->n_prompt; i++)
        add_prompt(x, o->prompt[i], (int64_t)strlen(o->prompt[i]));
    if (o->prompts)
        TRY(read_prompts(x, o->prompts));
    if (x->g.n == 0)
        return fail(E_DATA, "%s: no texts", o->prompts);
    x->encoder = encoder_open(x->s.tokenizer);
    x->g.text = mem_new(x->g.n, sizeof *x->g.text);
    x->g.vocab = x->s.shapes.target.vocab;
    x->g.tokens = o->tokens ? o->tokens : TOKENS;
    x->g.sampling = sampling_of(o);
    for (int64_t i = 0; i < x->g.n; i++)
        TRY(encode_prompt(x, i, most));
    return OK;
}

static status open_out(struct generation *x)
{
    const char *path = x->s.options.out;
    if (!path || x->s.rank != 0)
        return OK;
    if (io_exists(path))
        return fail(E_DECK, "%s: exists; remove it, or give another --out", path);
    return file_begin(&x->out, path);
}

static status open_net(struct generation *x)
{
    struct session *s = &x->s;
    const struct config *c = &s->shapes.target;
    x->g.shape =
        (struct net_shape){.imbalance = s->deck.model.moe.imbalance, .activation = session_precision(s)};
    generate_shape(&x->g, s->layout.dp, most_tokens(c),
                   net_token_bytes(c, &s->layout, x->g.shape.activation));
    return comm_agree(s->comm, net_open(&s->net, &s->store, s->group, &x->g.shape));
}

/* ---- what comes out ---- */

static void print(const struct generation *x, const char *text, int64_t n)
{
    char *copy = mem_format("%.*s", (int)n, text);
    fputs(x->masks ? text_mask(copy) : copy, stdout);
    free(copy);
}

/* Print what has come of the texts, in their order: the first that goes on is printed as it grows. */
static void show(struct generation *x)
{
    for (; x->prints && x->shown < x->g.n; x->shown++, x->begun = false) {
        struct text *t = &x->text[x->shown];
        if (!x->begun && x->g.n > 1)
            printf("%s==> %lld of %lld <==\n", x->shown > 0 ? "\n" : "", (long long)x->shown + 1,
                   (long long)x->g.n);
        if (!x->begun)
            print(x, t->prompt, (int64_t)strlen(t->prompt));
        x->begun = true;
        print(x, t->said.at + t->printed, t->said.n - t->printed);
        t->printed = t->said.n;
        if (x->g.text[x->shown].stopped == GOES_ON)
            break;
        printf("\n");
    }
    fflush(stdout);
}

/* On rank 0. A model may have more ids than its tokenizer; they have no text. */
static status told(void *with, int64_t text, int32_t id)
{
    struct generation *x = with;
    struct text *t = &x->text[text];
    if (id < tokenizer_vocabulary(x->s.tokenizer)) {
        TRY(growing_add(&t->growing, id));
        bytes_add(&t->said, t->growing.text.at, t->growing.text.n);
    }
    if (x->g.text[text].stopped != GOES_ON) {
        TRY(growing_end(&t->growing));
        bytes_add(&t->said, t->growing.text.at, t->growing.text.n);
    }
    show(x);
    return OK;
}

static const char *const stops[] = {[AT_END] = "end", [AT_TOKENS] = "tokens", [AT_POSITIONS] = "positions"};

static json_t *text_json(const struct generation *x, int64_t i)
{
    const struct continuation *t = &x->g.text[i];
    json_t *ids = json_array();
    for (int64_t k = t->prompt; k < t->ids.n; k++)
        json_array_append_new(ids, json_integer(t->ids.at[k]));
    return json_pack("{sssosIsoss}", "prompt", x->text[i].prompt, "text",
                     json_stringn(x->text[i].said.n ? x->text[i].said.at : "", (size_t)x->text[i].said.n),
                     "prompt_tokens", (json_int_t)t->prompt, "tokens", ids, "stop", stops[t->stopped]);
}

static status write_out(struct generation *x)
{
    int64_t at = 0;
    for (int64_t i = 0; i < x->g.n; i++) {
        json_t *row = text_json(x, i);
        char *text = json_text(row, JSON_COMPACT), *line = mem_format("%s\n", text);
        int64_t n = (int64_t)strlen(line);
        status code = file_write(&x->out, at, n, line);
        at += n;
        free(text);
        free(line);
        json_decref(row);
        TRY(code);
    }
    return file_publish(&x->out);
}

static void say_end(const struct generation *x)
{
    char tokens[48], texts[48], cache[32];
    int64_t n = 0, full = 0;
    double took = clock_seconds() - x->begin;
    for (int64_t i = 0; i < x->g.n; i++) {
        n += x->g.text[i].ids.n - x->g.text[i].prompt;
        full += x->g.text[i].stopped == AT_POSITIONS;
    }
    if (x->masks)
        log_say("\n%s for %s, %.3g tokens/s, keys and values: %s a rank", text_n(tokens, n, "token"),
                text_n(texts, x->g.n, "text"), (double)n / took,
                text_bytes(cache, (double)net_memory(x->s.net).cache));
    if (full)
        log_warn("%s ended at the model's %lld positions", text_n(texts, full, "text"),
                 (long long)most_tokens(&x->s.shapes.target));
}

static status finish(struct generation *x)
{
    json_t *all = json_array();
    if (x->s.rank == 0)
        say_end(x);
    for (int64_t i = 0; i < x->g.n && x->s.options.json && x->s.rank == 0; i++)
        json_array_append_new(all, text_json(x, i));
    if (x->s.options.json && x->s.rank == 0)
        json_print(json_pack("{sssO}", "model", x->s.options.files[0], "texts", all));
    json_decref(all);
    return x->out.path ? write_out(x) : OK;
}

static status run(struct generation *x, int argc, char **argv)
{
    struct session *s = &x->s;
    const struct options *o = &s->options;
    TRY(session_open_model(s, argc, argv));
    TRY(comm_agree(s->comm, read_all(x)));
    TRY(comm_agree(s->comm, open_out(x)));
    TRY(open_net(x));
    x->prints = s->rank == 0 && !o->quiet && !o->json;
    x->masks = x->prints && terminal_watched(true);
    for (int64_t i = 0; i < x->g.n && s->rank == 0; i++)
        growing_open(&x->text[i].growing, x->encoder, x->g.text[i].ids.at, x->g.text[i].prompt);
    x->g.told = s->rank == 0 ? told : NULL;
    x->g.with = x;
    x->begin = clock_seconds();
    show(x);
    TRY(generate(&x->g, s->comm, s->net, &s->layout, s->rank));
    return comm_agree(s->comm, finish(x));
}

int cmd_generate(int argc, char **argv)
{
    static struct generation x;
    status code = run(&x, argc, argv);
    if (code != OK && x.out.path)
        file_abandon(&x.out);
    for (int64_t i = 0; i < x.g.n; i++) {
        free(x.text[i].prompt);
        free(x.text[i].said.at);
        growing_close(&x.text[i].growing);
        if (x.g.text)
            free(x.g.text[i].ids.at);
    }
    free(x.text);
    free(x.g.text);
    free(x.ends.at);
    encoder_close(x.encoder);
    return session_close(&x.s, code);
}
