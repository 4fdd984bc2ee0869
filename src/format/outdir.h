/* A new folder that is written under the name DIR.partial and gets its own name when it is complete. Only a
 * DIR.partial that carries our marker file, and that nobody is writing, is ever deleted. Not collective. */
#ifndef FORMAT_OUTDIR_H
#define FORMAT_OUTDIR_H
#include "base/status.h"

struct outdir {
    char *dir, *partial; /* owned */
    int marker;          /* the open marker file: locked while we write, so that another export keeps away */
};

/** Make DIR.partial; what a killed export left there is removed first. E_DECK: DIR exists and is not an empty
 *  folder, or DIR.partial is not ours or is being written; E_SPACE. On failure there is nothing to end. */
status outdir_begin(struct outdir *, const char *dir) MUST_USE;
/** Rename DIR.partial to DIR, end. E_SPACE: the complete folder stays under the name DIR.partial. */
status outdir_publish(struct outdir *) MUST_USE;
/** Remove DIR.partial and its files, end. */
void outdir_abandon(struct outdir *);

#endif
