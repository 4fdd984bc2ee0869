/* What the answers say. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "eval/score.h"

struct mean {
    double sum, squares;
    int64_t n;
};

static void count(struct mean *m, double x)
{
    m->sum += x;
    m->squares += x * x;
    m->n++;
}

static double mean_of(const struct mean *m)
{
    return m->sum / (double)m->n;
}

/* Of the mean: sample deviation over sqrt(n). */
static double error_of(const struct mean *m)
{
    double n = (double)m->n, mean = mean_of(m);
    double variance = (m->squares - n * mean * mean) / (n - 1);
    return m->n > 1 ? sqrt(fmax(variance, 0) / n) : (double)NAN;
}

static int choice_measures(const struct task *t, const struct requests *r, struct measure *out)
{
    struct mean acc = {0}, norm = {0};
    const struct request *q = r->at;
    for (int64_t i = 0; i < t->n; i++) {
        const struct question *item = &t->item[i];
        int best = 0, best_norm = 0;
        for (int c = 1; c < item->n; c++) {
            double letters = (double)item->letters[c], others = (double)item->letters[best_norm];
            if (q[c].loglikelihood > q[best].loglikelihood)
                best = c;
            if (q[c].loglikelihood / letters > q[best_norm].loglikelihood / others)
                best_norm = c;
        }
        count(&acc, best == item->gold);
        count(&norm, best_norm == item->gold);
        q += item->n;
    }
    out[0] = (struct measure){"acc", mean_of(&acc), error_of(&acc)};
    out[1] = (struct measure){"acc_norm", mean_of(&norm), error_of(&norm)};
    return 2;
}

static int word_measures(const struct requests *r, struct measure *out)
{
    struct mean acc = {0}, likelihood = {0};
    for (int64_t i = 0; i < r->n; i++) {
        count(&acc, r->at[i].greedy);
        count(&likelihood, r->at[i].loglikelihood);
    }
    double perplexity = exp(-mean_of(&likelihood));
    out[0] = (struct measure){"acc", mean_of(&acc), error_of(&acc)};
    out[1] = (struct measure){"perplexity", perplexity, perplexity * error_of(&likelihood)};
    return 2;
}

static int text_measures(const struct task *t, const struct requests *r, struct measure *out)
{
    double sum = 0, tokens = 0, bytes = 0;
    for (int64_t i = 0; i < r->n; i++) {
        sum -= r->at[i].loglikelihood;
        tokens += (double)r->at[i].scored;
    }
    for (int64_t i = 0; i < t->n; i++)
        bytes += (double)strlen(t->item[i].choice[0]);
    out[0] = (struct measure){"loss", sum / tokens, (double)NAN};
    out[1] = (struct measure){"perplexity", exp(sum / tokens), (double)NAN};
    out[2] = (struct measure){"bits_per_byte", sum / bytes / log(2), (double)NAN};
    return 3;
}

int task_measures(const struct task *t, const struct requests *r, struct measure out[MEASURES])
{
    switch (t->kind) {
    case TASK_CHOICE: return choice_measures(t, r, out);
    case TASK_LAST_WORD: return word_measures(r, out);
    case TASK_TEXT:
    case TASK_KINDS: break;
    }
    return text_measures(t, r, out);
}

json_t *task_json(const struct task *t, const struct requests *r)
{
    struct measure m[MEASURES];
    int n = task_measures(t, r, m);
    json_t *row = json_pack("{sssI}", "task", t->name, "items", (json_int_t)t->n);
    for (int i = 0; i < n; i++) {
        char *name = mem_format("%s_stderr", m[i].name);
        json_object_set_new(row, m[i].name, isfinite(m[i].value) ? json_real(m[i].value) : json_null());
        if (isfinite(m[i].error))
            json_object_set_new(row, name, json_real(m[i].error));
        free(name);
    }
    return row;
}

char *task_text(const struct task *t, const struct requests *r)
{
    struct measure m[MEASURES];
    int n = task_measures(t, r, m);
    char *line = mem_format("%-24.24s %7lld", t->name, (long long)t->n);
    for (int i = 0; i < n; i++) {
        mem_append(&line, "   %s %.4f", m[i].name, m[i].value);
        if (isfinite(m[i].error))
            mem_append(&line, " +- %.4f", m[i].error);
    }
    return line;
}
