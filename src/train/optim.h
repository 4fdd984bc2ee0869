/* AdamW with ZeRO-1 (definitions D4): each rank updates the pieces that it owns. The norm, the clip factor
 * and the decision whether to update stay on the device. */
#ifndef TRAIN_OPTIM_H
#define TRAIN_OPTIM_H
#include "comm/group.h"
#include "deck/deck.h"
#include "model/store.h"

struct optim {
    struct dev *dev;
    void *memory;
    view squares; /* F64 [1]: sum of squares of the reduced gradient over all ranks */
    view control; /* F32 [2]: scale and go, see dev_clip */
};

/** squares F64 [1]: where the squares of a step add up; borrowed, 0 before each step. */
status optim_open(struct optim *, struct dev *, view squares) MUST_USE;
void optim_close(struct optim *);
/** Updates go on after one that was not to be: see dev_clip. */
void optim_go(struct optim *);
/** COLLECTIVE: compute squares in double. Each logical element counts once. */
void optim_squares(struct optim *, const struct store *, struct group *world);
/** Update weights and moments of this rank's pieces from the clipped gradient, as update number u with this
 * rate. Nothing changes if the squares or `loss` F64 [1] are not finite or above `most`, now or in an update
 * since optim_go. Local.
 */
void optim_update(struct optim *, struct store *, const struct optimizer_section *, view loss, struct clip,
                  double rate, int64_t update);

#endif
