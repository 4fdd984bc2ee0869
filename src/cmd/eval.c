/* coppice eval MODEL --task FILE...: score a model on questions, as lm-evaluation-harness does. On any
 * layout;
 * --out writes a line of JSON for each question. */
#include "eval/exam.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/terminal.h"
#include "base/text.h"
#include "cmd/commands.h"
#include "cmd/session.h"

enum { TOKENS = 2048 }; /* of a micro-batch, at least one sequence */

struct eval {
    struct session s;
    struct exam exam;
    struct net_shape shape;
    struct file_draft out;
    int64_t written;
    json_t *results;
    double begin;
};

/* ---- what is asked ---- */

static status read_tasks(struct eval *e)
{
    const struct options *o = &e->s.options;
    struct exam_ask ask = {.path = o->task,
                           .n = o->n_task,
                           .shots = o->shots,
                           .limit = o->limit,
                           .most = e->s.shapes.target.max_positions};
    if (o->n_task == 0)
        return fail(E_DECK, "coppice eval needs --task FILE: questions as JSON lines or CSV");
    TRY(session_open_tokenizer(&e->s));
    return exam_open(&e->exam, &ask, e->s.tokenizer);
}

static status open_out(struct eval *e)
{
    const char *path = e->s.options.out;
    if (!path || e->s.rank != 0)
        return OK;
    if (io_exists(path))
        return fail(E_DECK, "%s: exists; remove it, or give another --out", path);
    return file_begin(&e->out, path);
}

static status open_net(struct eval *e)
{
    struct session *s = &e->s;
    int64_t longest = e->exam.longest, micro = TOKENS / longest > 0 ? TOKENS / longest : 1;
    dtype activation = session_precision(s);
    e->shape = (struct net_shape){
        .sequence = longest,
        .micro = micro,
        .imbalance = s->deck.model.moe.imbalance,
        .activation = activation,
        .cached = exam_places(&e->exam, net_token_bytes(&s->shapes.target, &s->layout, activation)),
        .room = longest};
    return comm_agree(s->comm, net_open(&s->net, &s->store, s->group, &e->shape));
}

/* ---- what comes out ---- */

static void show_progress(void *with, double share)
{
    const struct eval *e = with;
    char left[32];
    double took = clock_seconds() - e->begin;
    printf("\033[K%3.0f %%, left %s\r", 100 * share, text_time(left, took / share * (1 - share)));
    fflush(stdout);
}

static json_t *item_json(const struct task *t, int64_t i, const struct request *q)
{
    json_t *row = json_pack("{sssI}", "task", t->name, "item", (json_int_t)i), *list = json_array();
    for (int c = 0; c < t->item[i].n; c++)
        json_array_append_new(list, json_real(q[c].loglikelihood));
    json_object_set_new(row, "loglikelihood", list);
    if (t->kind == TASK_CHOICE)
        json_object_set_new(row, "gold", json_integer(t->item[i].gold));
    else
        json_object_set_new(row, "greedy", json_boolean(q->greedy));
    return row;
}

static status write_line(struct eval *e, json_t *row)
{
    char *text = json_text(row, JSON_COMPACT), *line = mem_format("%s\n", text);
    int64_t n = (int64_t)strlen(line);
    status code = file_write(&e->out, e->written, n, line);
    e->written += n;
    free(text);
    free(line);
    json_decref(row);
    return code;
}

/* A text has a request for each of its windows: their sum. */
static status write_items(struct eval *e, const struct task *t, const struct requests *r)
{
    for (int64_t at = 0; at < r->n;) {
        int64_t i = r->at[at].item;
        struct request first = r->at[at];
        if (t->kind == TASK_CHOICE) {
            TRY(write_line(e, item_json(t, i, &r->at[at])));
            at += t->item[i].n;
            continue;
        }
        for (at++; at < r->n && r->at[at].item == i; at++)
            first.loglikelihood += r->at[at].loglikelihood;
        TRY(write_line(e, item_json(t, i, &first)));
    }
    return OK;
}

static void say(struct eval *e, const struct task *t, const struct requests *r)
{
    char *line = task_text(t, r);
    if (!e->s.options.json)
        log_say("%s", line);
    if (r->left_out)
        log_warn("%s: %lld tokens of contexts are beyond the model's positions and were cut off", t->name,
                 (long long)r->left_out);
    json_array_append_new(e->results, task_json(t, r));
    free(line);
}

static status score(struct eval *e, int i)
{
    struct session *s = &e->s;
    bool shown = s->rank == 0 && !s->options.quiet && !s->options.json && terminal_watched(true);
    e->begin = clock_seconds();
    struct scorer with = {.comm = s->comm,
                          .net = s->net,
                          .layout = &s->layout,
                          .rank = s->rank,
                          .tokens = e->shape.micro * e->shape.sequence,
                          .places = e->shape.cached,
                          .told = shown ? show_progress : NULL,
                          .with = e};
    TRY(requests_score(&e->exam.requests[i], &with));
    if (shown)
        printf("\033[K");
    say(e, &e->exam.task[i], &e->exam.requests[i]);
    return comm_agree(s->comm, e->out.path ? write_items(e, &e->exam.task[i], &e->exam.requests[i]) : OK);
}

static status run(struct eval *e, int argc, char **argv)
{
    struct session *s = &e->s;
    char shape[96], parameters[32];
    TRY(session_open_model(s, argc, argv));
    TRY(comm_agree(s->comm, read_tasks(e)));
    TRY(comm_agree(s->comm, open_out(e)));
    TRY(open_net(e));
    e->results = json_array();
    if (!s->options.json)
        log_say("model %s (%s, %s parameters)\n%-24s %7s   measures +- standard error", s->options.files[0],
                config_text(&s->shapes.target, shape),
                text_count(parameters, (double)config_parameters(&s->shapes.target)), "task", "items");
    for (int i = 0; i < e->exam.n; i++)
        TRY(score(e, i));
    if (s->options.json && s->rank == 0)
        json_print(json_pack("{sssO}", "model", s->options.files[0], "tasks", e->results));
    return comm_agree(s->comm, e->out.path ? file_publish(&e->out) : OK);
}

int cmd_eval(int argc, char **argv)
{
    static struct eval e;
    status code = run(&e, argc, argv);
    if (code != OK && e.out.path)
        file_abandon(&e.out);
    exam_close(&e.exam);
    json_decref(e.results);
    return session_close(&e.s, code);
}
