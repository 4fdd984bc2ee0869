#include "start/exam.h"

#include "start/tokenizers.h"

static status open_exam(struct exam *e, const struct deck *d, const struct config *c, struct tokenizer **t)
{
    const struct eval_section *s = &d->eval;
    int64_t longest = c->max_positions, most = d->data.sequence < longest ? d->data.sequence : longest;
    struct exam_ask ask = {
        .path = s->tasks.path, .n = s->tasks.n, .shots = s->shots, .limit = s->limit, .most = most};
    TRY(start_tokenizer(t, s->tokenizer ? s->tokenizer : c->carried.folder, c));
    return exam_open(e, &ask, *t);
}

status start_exam(struct exam *e, const struct deck *d, const struct config *target)
{
    struct tokenizer *t = NULL;
    *e = (struct exam){0};
    if (d->eval.tasks.n == 0)
        return OK;
    if (!d->eval.tokenizer && !*target->carried.folder)
        return fail(E_DECK, "eval.tasks: the model comes from no folder with a tokenizer; name one with "
                            "eval.tokenizer");
    status code = open_exam(e, d, target, &t);
    tokenizer_close(t);
    return code == OK ? OK : fail(code, "eval.tasks: %s", status_text());
}
