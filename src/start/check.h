/* Everything that train refuses before its first step, found at once. train and `coppice deck check` both
 * call this, so they cannot differ. Local; it reads files and writes nothing. */
#ifndef START_CHECK_H
#define START_CHECK_H
#include <stdbool.h>
#include <stdint.h>
#include "ckpt/ckpt.h"
#include "data/data.h"
#include "start/shape.h"

enum { START_LOOK = 2 }; /* seconds for looking at the ids of large data sets */

struct start_ask {
    int ranks;          /* the number of ranks that the layout must fit; 0: some number must fit */
    const char *folder; /* the run folder that train would begin or continue; NULL: the command has none */
    const char *trunk;  /* the run folder from whose checkpoint it would begin a branch, or NULL */
    bool fresh;         /* what is in the folder will be moved aside */
    bool alone;         /* no training follows, so read all weights too, and look for room on the disk */
};

/** Check keys, shapes, layout, data sets, weights, run folder and restart. `read` is what deck_read returned
 * for the deck. Returns the code of the first mistake, with all of them in the record, a line each with its
 * position in the decks. Mistakes that only follow from others are left out. Warns if the model cannot be
 * exported. Shapes are filled as by shapes_read; the caller calls shapes_free in any case. */
status start_check(const struct deck *, status read, const struct start_ask *) MUST_USE;
/** The shape of a run that goes on from a checkpoint: that of the checkpoint with the deck's keys on top, so
 * that neither model.like nor start.from need exist. E_DECK if the deck asks for another model. */
status start_continue(struct shapes *, const struct deck *, const struct ckpt_index *,
                      const char *checkpoint) MUST_USE;
/** May this deck continue the checkpoint? E_DECK if it is of another model, or if keys differ that may not
 * change on restart, a line each. */
status start_continues(const struct deck *, const struct ckpt_index *, const char *checkpoint,
                       const char *folder) MUST_USE;
/** Are the data those that the checkpoint was trained on? index NULL: there is no checkpoint. *identity is
 * what the next checkpoint keeps; caller frees. E_DATA with the first difference; a warning for a branch, or
 * for validation sets. */
status start_same_data(struct data *, const struct ckpt_index *, const char *checkpoint, bool branches,
                       char **identity) MUST_USE;
/** E_SPACE if there is no room on the disk for a checkpoint; a warning if there is not enough for all that
 *  checkpoint.keep asks for. train first removes what a failed save left. */
status start_room(const struct deck *, const struct model *, bool begins) MUST_USE;
/** The numbers of ranks that fit and leave none idle, for a deck without mistakes: "1, 2, 4 ranks". Caller
 * frees. */
char *start_ranks(const struct deck *);
/** The fewest ranks that tensor, expert and expert_tensor divide: all others are multiples. */
int start_least_ranks(const struct deck *);

#endif
