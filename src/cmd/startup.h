/* What a training run says before its first step: machine, layout, model, data, what was read, the
 * certificate. COLLECTIVE. */
#ifndef CMD_STARTUP_H
#define CMD_STARTUP_H
#include "cmd/session.h"
#include "train/folder.h"
#include "start/origin.h"

void startup_banner(const struct session *, int64_t leg);
/** Machine, layout with its map, warnings, model and data. */
status startup_machine(const struct session *, double ceiling) MUST_USE;
/** Fill the target's store and say what was read. */
status startup_fill(struct session *) MUST_USE;
/** Of an upcycle or growth: the certificate, written to the run folder; E_BUG if it fails where theory
 *  promises something. */
status startup_certify(struct session *, const struct folder *, struct origin *) MUST_USE;

#endif
