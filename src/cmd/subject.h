/* What coppice inspect looks at: a Hugging Face directory, or a checkpoint (also as the newest one of a run
 * folder). Local, no MPI. */
#ifndef CMD_SUBJECT_H
#define CMD_SUBJECT_H
#include "ckpt/ckpt.h"
#include "deck/deck.h"
#include "format/hf_config.h"

struct subject {
    char *path; /* of the directory or checkpoint; owned */
    bool checkpoint;
    struct hf_config hf;     /* of a directory */
    struct ckpt_index index; /* of a checkpoint */
    bool described, shaped;  /* is there hf or index, is there config */
    struct config config;
    struct source *arrays; /* as they are called in the files; NULL = not readable */
};

/** Fills as much as can be read; the status says whether it could be trained. `ignore`: a deck's
 * model.ignore. E_DATA, E_DECK, E_NOCKPT. subject_close in any case. */
status subject_open(struct subject *, const char *path, const struct paths *ignore) MUST_USE;
void subject_close(struct subject *);
/** The weights under the names of the table of its shape, for one rank alone, whatever the files call them.
 *  Of a subject that opened well. */
status subject_weights(const struct subject *, struct model *, struct source **) MUST_USE;
/** Every tensor of one beside the other's, a line for each that differs. E_DIFFERENT if any does. */
status subject_diff(const struct subject *, const struct subject *) MUST_USE;

#endif
