/* What a training run prints before its first step: machine, layout, model, data, what was read, and the
 * certificate. COLLECTIVE. */
#ifndef CMD_STARTUP_H
#define CMD_STARTUP_H
#include "cmd/session.h"
#include "train/folder.h"
#include "start/origin.h"

void startup_banner(const struct session *, int64_t leg);
/** Print machine, layout with its map of ranks, warnings, model and data. */
status startup_machine(const struct session *, double ceiling) MUST_USE;
/** Print what a checkpoint takes on the disk, and what is free there. */
void startup_disk(const struct session *);
/** Fill the target's store, and print what was read. */
status startup_fill(struct session *) MUST_USE;
/** For an upcycle or growth: make the certificate and write it to the run folder. E_BUG if it fails in what
 * theory promises. */
status startup_certify(struct session *, const struct folder *, struct origin *) MUST_USE;

#endif
