/* Questions become tokens to score. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "eval/score.h"

static struct request *add(struct requests *r, int64_t item, int choice)
{
    if (r->n % 1024 == 0)
        r->at = mem_grow(r->at, r->n + 1024, sizeof *r->at);
    r->at[r->n] = (struct request){.item = item, .choice = choice};
    return &r->at[r->n++];
}

static void take(struct requests *r, struct request *q, const int32_t *ids, int64_t n, int64_t scored,
                 int64_t most)
{
    int64_t cut = n - 1 > most ? n - 1 - most : 0; /* the last token is not fed */
    if (cut > n - scored - 1)
        cut = n - scored - 1;
    r->left_out += cut;
    q->n = n - cut;
    q->scored = scored;
    q->ids = mem_new(q->n, sizeof *q->ids);
    memcpy(q->ids, ids + cut, (size_t)q->n * sizeof *ids);
    r->longest = q->n > r->longest ? q->n : r->longest;
}

static int64_t spaces_at_end(const char *text)
{
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r\n", text[n - 1]))
        n--;
    return (int64_t)(strlen(text) - n);
}

/* The white space between context and choice belongs to the choice. */
static status add_pair(struct requests *r, struct encoder *e, const struct question *q, int64_t item,
                       int choice, int64_t most, int32_t prefix)
{
    char *whole = mem_format("%s%s", q->context, q->choice[choice]);
    struct ids all = {0}, context = {0};
    int64_t left = (int64_t)strlen(q->context) - spaces_at_end(q->context);
    if (left == 0 && prefix >= 0)
        ids_add(&all, &prefix, 1), ids_add(&context, &prefix, 1);
    status code = encode(e, whole, (int64_t)strlen(whole), false, &all);
    if (code == OK)
        code = encode(e, q->context, left, false, &context);
    int64_t known = context.n < all.n ? context.n : all.n - 1, scored = all.n - (known > 0 ? known : 1);
    if (code == OK && (all.n < 2 || scored > most))
        code = fail(E_DATA, "question %lld: a choice of %lld tokens cannot be scored (1 to %lld)",
                    (long long)item + 1, (long long)scored, (long long)most);
    if (code == OK)
        take(r, add(r, item, choice), all.at, all.n, scored, most);
    free(all.at);
    free(context.at);
    free(whole);
    return code;
}

/* Windows that each score what the one before did not. */
static status add_text(struct requests *r, struct encoder *e, const struct question *q, int64_t item,
                       int64_t most, int32_t prefix)
{
    struct ids all = {0};
    if (prefix >= 0)
        ids_add(&all, &prefix, 1);
    status code = encode(e, q->choice[0], (int64_t)strlen(q->choice[0]), false, &all);
    for (int64_t at = 0, n; code == OK && at + 1 < all.n; at += n) {
        n = all.n - 1 - at < most ? all.n - 1 - at : most;
        take(r, add(r, item, 0), all.at + at, n + 1, n, most);
    }
    free(all.at);
    return code;
}

status requests_make(struct requests *r, const struct task *t, const struct tokenizer *tokenizer,
                     int64_t most, int32_t prefix)
{
    struct encoder *e = encoder_open(tokenizer);
    status code = OK;
    *r = (struct requests){0};
    for (int64_t i = 0; i < t->n && code == OK; i++) {
        const struct question *q = &t->item[i];
        if (t->kind == TASK_TEXT)
            code = add_text(r, e, q, i, most, prefix);
        for (int c = 0; t->kind != TASK_TEXT && c < q->n && code == OK; c++)
            code = add_pair(r, e, q, i, c, most, prefix);
    }
    encoder_close(e);
    if (code == OK && r->n == 0)
        code = fail(E_DATA, "%s: no text that can be scored", t->name);
    if (code != OK)
        requests_free(r);
    return code;
}

void requests_free(struct requests *r)
{
    for (int64_t i = 0; i < r->n; i++)
        free(r->at[i].ids);
    free(r->at);
    *r = (struct requests){0};
}
