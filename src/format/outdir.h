/* A new folder that is written as DIR.partial and renamed to DIR when it is complete. A DIR.partial is only
 * deleted if it has our marker file and nobody is writing it. Not collective. */
#ifndef FORMAT_OUTDIR_H
#define FORMAT_OUTDIR_H
#include "base/status.h"

struct outdir {
    char *dir, *partial; /* owned */
    int marker;          /* the open marker file, locked so that no other export writes here */
};

/** Make DIR.partial, after removing what a killed export left there. E_DECK: DIR exists and is not an empty
 * folder, or DIR.partial is not ours or is being written. E_SPACE. On failure there is nothing to end. */
status outdir_begin(struct outdir *, const char *dir) MUST_USE;
/** Rename DIR.partial to DIR, and end. E_SPACE: the complete folder keeps the name DIR.partial. */
status outdir_publish(struct outdir *) MUST_USE;
/** Remove DIR.partial and its files, and end. */
void outdir_abandon(struct outdir *);

#endif
