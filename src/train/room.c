#include "train/room.h"

#include <stdlib.h>
#include "base/mem.h"
#include "base/text.h"

/* Bytes on the device; copies for checkpoints are the host's. */
static status need_of(int64_t *bytes, const struct deck *deck, const struct config *c, const struct layout *l,
                      int rank)
{
    struct rehearsal r;
    status code = rehearse_memory(&r, deck, c, l, rank);
    *bytes = rehearsal_bytes(&r) - r.snapshot;
    rehearsal_free(&r);
    return code;
}

/* "device.recompute: moe (61 GB)", of all that would fit; NULL: none. Caller frees. */
static status what_fits(char **text, const struct deck *deck, const struct config *c, const struct layout *l,
                        int rank, int64_t room)
{
    struct deck other = *deck;
    char size[32];
    *text = NULL;
    for (int i = (int)deck->device.recompute + 1; i <= RECOMPUTE_FULL; i++) {
        int64_t need;
        other.device.recompute = (enum recompute)i;
        TRY(need_of(&need, &other, c, l, rank));
        if (need <= room)
            mem_append(text, "%s %s (%s)", *text ? "," : "device.recompute:", choice_name(recomputes, i),
                       text_bytes(size, (double)need));
    }
    return OK;
}

status room_check(const struct deck *deck, const struct config *c, const struct layout *l, int rank,
                  int64_t room)
{
    int64_t need;
    char wanted[32], free_there[32], *fits;
    TRY(need_of(&need, deck, c, l, rank));
    if (need <= room)
        return OK;
    TRY(what_fits(&fits, deck, c, l, rank, room));
    status code = fail(E_RESOURCE,
                       "rank %d needs %s of its GPU, where %s are free; what would fit: %s%smore "
                       "ranks, or a smaller batch.micro",
                       rank, text_bytes(wanted, (double)need), text_bytes(free_there, (double)room),
                       fits ? fits : "", fits ? "; " : "");
    free(fits);
    return code;
}
