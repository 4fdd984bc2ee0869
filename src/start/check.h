/* Everything that train refuses before its first step, found in one go: train and `coppice deck check` both
 * call this, so that they cannot differ. Local; reads files, writes nothing. */
#ifndef START_CHECK_H
#define START_CHECK_H
#include <stdbool.h>
#include <stdint.h>
#include "ckpt/ckpt.h"
#include "data/data.h"
#include "start/shape.h"

enum { START_LOOK = 2 }; /* seconds for a look at the ids of large data sets */

struct start_ask {
    int ranks;          /* that the layout must fit; 0: any number of ranks may */
    const char *folder; /* the run folder that train would begin or continue; NULL: the command has none */
    const char *trunk;  /* the folder that it would branch off, or NULL */
    bool fresh;         /* what is in the folder will be moved aside */
    bool alone;         /* train does not follow: read all weights too, and look for room on the disk */
};

/** `read` is what deck_read returned for the deck. OK, or the code of the first mistake, and all of them in
 * the record, a line each with its place in the decks: keys, shapes, layout, data sets, weights, run folder,
 * restart. Mistakes that only follow from others are left out. Warns of what no export can say. Shapes are
 * filled as by shapes_read; shapes_free in any case. */
status start_check(const struct deck *, status read, const struct start_ask *) MUST_USE;
/** The shape that goes on from a checkpoint: its own, with the deck's keys on top, so that neither model.like
 * nor start.from need be there. Weights go on in their own shape only. E_DECK. */
status start_continue(struct shapes *, const struct deck *, const struct ckpt_index *,
                      const char *checkpoint) MUST_USE;
/** May this deck continue the checkpoint in `folder`? E_DECK: another model, or keys that may not change on
 *  restart do, a line each. */
status start_continues(const struct deck *, const struct ckpt_index *, const char *checkpoint,
                       const char *folder) MUST_USE;
/** Are the data those that the checkpoint was trained on (index NULL: there is none)? *identity is what the
 * next checkpoint keeps; the caller frees it. E_DATA with the first difference; of a branch, or of validation
 *  sets, it is a warning. */
status start_same_data(struct data *, const struct ckpt_index *, const char *checkpoint, bool branches,
                       char **identity) MUST_USE;
/** Is there room on the disk for a checkpoint? A warning if not for all that checkpoint.keep asks for. What a
 *  broken save left is freed by train before it asks. E_SPACE. */
status start_room(const struct deck *, const struct model *, bool begins) MUST_USE;
/** "1, 2, 4 ranks": which numbers of ranks fit and leave none idle. Of a deck that was found good. Caller
 * frees. */
char *start_ranks(const struct deck *);

#endif
