#include "text/prepare.h"

#include <stdlib.h>
#include "base/clock.h"
#include "config.h"
#include "format/tokens.h"
#ifdef HAVE_OPENMP
#    include <omp.h>
#endif

enum { JOBS = 2048, BATCH_BYTES = 16 << 20 };

/* A document of the current batch. Failures are reported in the order of documents. */
struct job {
    struct record record;
    struct ids ids;
    int64_t text_bytes;
    status code;
    char *why;
};

struct crew {
    struct encoder **encoder; /* one a thread */
    int threads;
    struct job *job;
    int n;
    struct records *records;
    struct tokens_draft *draft;
};

static int most_threads(void)
{
#ifdef HAVE_OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

static int this_thread(void)
{
#ifdef HAVE_OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

int prepare_type(const struct tokenizer *t)
{
    enum { U16_BELOW = 65500, I32 = 4, U16 = 8 };
    return tokenizer_vocabulary(t) < U16_BELOW ? U16 : I32;
}

/* ---- one batch ---- */

/* Read documents up to the size of a batch, but at least one if there is one. */
static status read_batch(struct crew *c)
{
    int64_t bytes = 0;
    bool there = true;
    for (c->n = 0; there && c->n < JOBS && bytes < BATCH_BYTES;) {
        struct job *j = &c->job[c->n];
        TRY(records_next(c->records, &j->record, &there));
        c->n += there;
        bytes += j->record.raw.n;
    }
    return OK;
}

static status encode_text(const struct prepare *p, struct encoder *e, struct job *j)
{
    struct record_hold hold = {0};
    const char *text;
    status s = record_text(&j->record, &p->records, &hold, &text, &j->text_bytes);
    if (s == OK)
        s = encode(e, text, j->text_bytes, p->special, &j->ids);
    record_end(&hold);
    return s;
}

static void do_job(const struct prepare *p, struct encoder *e, struct job *j)
{
    j->ids.n = 0;
    j->code = encode_text(p, e, j);
    if (j->code != OK)
        j->why = mem_text(status_text());
    else if (p->eod >= 0 && j->ids.n > 0 && j->ids.at[j->ids.n - 1] != p->eod)
        ids_add(&j->ids, &p->eod, 1);
}

static void encode_batch(const struct prepare *p, struct crew *c)
{
#ifdef HAVE_OPENMP
#    pragma omp parallel for schedule(dynamic, 1) num_threads(c->threads)
#endif
    for (int i = 0; i < c->n; i++)
        do_job(p, c->encoder[this_thread()], &c->job[i]);
}

static void count(struct prepared *to, const struct job *j)
{
    to->documents++;
    to->tokens += j->ids.n;
    to->text_bytes += j->text_bytes;
}

static status write_batch(struct prepare *p, struct crew *c)
{
    for (int i = 0; i < c->n; i++) {
        const struct job *j = &c->job[i];
        if (j->code != OK)
            return fail(j->code, "%s:%lld: %s", p->path[j->record.file], (long long)j->record.line, j->why);
        p->empty += j->ids.n == 0;
        if (j->ids.n == 0)
            continue;
        TRY(tokens_add(c->draft, j->ids.at, j->ids.n));
        count(&p->total, j);
        count(&p->of[j->record.file], j);
    }
    return OK;
}

/* ---- all of them ---- */

static status run(struct prepare *p, struct crew *c)
{
    double begin = clock_seconds(), told = begin;
    do {
        TRY(read_batch(c));
        encode_batch(p, c);
        TRY(write_batch(p, c));
        p->consumed = records_consumed(c->records);
        double now = clock_seconds();
        if (p->progress && now - told > 0.3) {
            p->progress(p->context, p, now - begin);
            told = now;
        }
    } while (c->n);
    return OK;
}

static void open_crew(struct crew *c, const struct prepare *p)
{
    c->threads = most_threads();
    c->encoder = mem_new(c->threads, sizeof *c->encoder);
    for (int i = 0; i < c->threads; i++)
        c->encoder[i] = encoder_open(p->tokenizer);
    c->job = mem_new(JOBS, sizeof *c->job);
    records_open(&c->records, p->path, p->n, &p->records);
}

static void close_crew(struct crew *c, struct prepare *p)
{
    for (int i = 0; i < c->threads; i++) {
        p->left_out += encoder_left_out(c->encoder[i]);
        encoder_close(c->encoder[i]);
    }
    for (int i = 0; i < JOBS; i++) {
        free(c->job[i].record.raw.at);
        free(c->job[i].ids.at);
        free(c->job[i].why);
    }
    free(c->encoder);
    free(c->job);
    records_close(c->records);
}

status prepare_run(struct prepare *p, const char *out)
{
    struct crew c = {0};
    TRY(tokens_begin(&c.draft, out, prepare_type(p->tokenizer)));
    open_crew(&c, p);
    status s = run(p, &c);
    close_crew(&c, p);
    if (s == OK && p->total.documents == 0)
        s = fail(E_DATA, "%s: there is no text%s", p->path[0],
                 p->n > 1 ? ", and none in the other files" : "");
    if (s == OK)
        return tokens_finish(c.draft);
    tokens_abandon(c.draft);
    return s;
}
