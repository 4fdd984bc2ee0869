/* Going on from a checkpoint: its model, its data, and room on the disk for the next one. */
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "start/check.h"

/* ---- the model ---- */

status start_continue(struct shapes *s, const struct deck *deck, const struct ckpt_index *index,
                      const char *checkpoint)
{
    struct model m;
    char is[96], wants[96];
    TRY(shapes_continue(s, deck, &index->config));
    model_open(&m, &s->target, &layout_alone);
    status code = ckpt_fits(index, checkpoint, &m);
    model_close(&m);
    if (code == OK)
        return OK;
    return fail(
        E_DECK,
        "%s is of another model (%s) than the deck asks for (%s), and a run, or a branch of it, keeps its "
        "model. To make the other one from it: a new run.dir with start.from: %s",
        checkpoint, config_text(&index->config, is), config_text(&s->target, wants), checkpoint);
}

/* Refuse changes in keys that may not change on restart. */
static status refuse_changes(const struct deck *deck, const struct ckpt_index *index, const char *checkpoint,
                             const char *folder, const char *changes)
{
    struct shapes shapes = {0};
    status code = start_continue(&shapes, deck, index, checkpoint);
    shapes_free(&shapes);
    TRY(code);
    return fail(E_DECK,
                "%s: keys that may not change on restart differ (--branch DIR goes on from here in "
                "another folder, --fresh starts anew):\n%s",
                folder, changes);
}

status start_continues(const struct deck *deck, const struct ckpt_index *index, const char *checkpoint,
                       const char *folder)
{
    struct deck then;
    deck_init(&then);
    deck_parse_saved(&then, checkpoint, index->state.deck);
    char *changes = deck_restart_diff(deck, &then);
    status code = changes ? refuse_changes(deck, index, checkpoint, folder, changes) : OK;
    free(changes);
    deck_free(&then);
    return code;
}

/* ---- the data ---- */

static size_t line_of(const char *text)
{
    size_t n = strcspn(text, "\n");
    return n + (text[n] == '\n');
}

/* Report the first lines that differ. The order of samples depends on the training sets alone, so another
 * validation set is only a warning. */
static status other_data(const char *checkpoint, bool branches, const char *then, const char *now)
{
    size_t n = line_of(then), m = line_of(now);
    while (n && n == m && !strncmp(then, now, n)) {
        then += n;
        now += m;
        n = line_of(then);
        m = line_of(now);
    }
    status code =
        fail(E_DATA,
             "the data are not those that %s was trained on, so samples would repeat or be left out.\n"
             "  then: %.*s  now:  %.*sRestore them, or --branch DIR goes on with the new ones in another "
             "folder",
             checkpoint, (int)n, n ? then : "none\n", (int)m, m ? now : "none\n");
    if (!branches && (!strncmp(then, "train", 5) || !strncmp(now, "train", 5)))
        return code;
    log_warn("%s", status_text());
    return OK;
}

status start_same_data(struct data *data, const struct ckpt_index *index, const char *checkpoint,
                       bool branches, char **identity)
{
    const char *then = index ? index->state.data : NULL;
    TRY(data_identity(data, identity));
    return then && *then && strcmp(then, *identity) != 0 ? other_data(checkpoint, branches, then, *identity)
                                                         : OK;
}

/* ---- the disk ---- */

status start_room(const struct deck *deck, const struct model *model, bool begins)
{
    const struct checkpoint_section *c = &deck->checkpoint;
    int64_t bytes = ckpt_bytes(model);
    if (!c->final && c->every.steps <= 0 && c->every.seconds <= 0)
        return OK;
    TRY(ckpt_room(deck->run.dir, bytes, 1));
    if (begins && ckpt_room(deck->run.dir, bytes, c->keep + 1) != OK)
        log_warn("%s, as checkpoint.keep %lld needs while it writes the next", status_text(),
                 (long long)c->keep);
    return OK;
}
