/* Does training fit the device's free memory? It is asked before anything is allocated there. */
#ifndef TRAIN_ROOM_H
#define TRAIN_ROOM_H
#include "train/rehearsal.h"

/** `room`: bytes that this rank may take on its device. E_RESOURCE with what a rehearsal of this rank needs,
 * and which settings of device.recompute would fit. Local. */
status room_check(const struct deck *, const struct config *, const struct layout *, int rank,
                  int64_t room) MUST_USE;

#endif
