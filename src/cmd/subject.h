/* What coppice inspect looks at: a Hugging Face directory, a checkpoint, or the newest checkpoint of a run
 * folder. Local, without MPI. */
#ifndef CMD_SUBJECT_H
#define CMD_SUBJECT_H
#include "ckpt/ckpt.h"
#include "deck/deck.h"
#include "format/hf_config.h"

struct subject {
    char *path; /* the directory or checkpoint; owned */
    bool checkpoint;
    struct hf_config hf;     /* of a directory */
    struct ckpt_index index; /* of a checkpoint */
    bool described, shaped;  /* are hf or index known, is config known */
    struct config config;
    struct source *arrays; /* with the names in the files; NULL = not readable */
};

/** Fill in as much as can be read. The status says whether it could be trained. `ignore` is a deck's
 * model.ignore. E_DATA, E_DECK, E_NOCKPT. The caller calls subject_close in any case. */
status subject_open(struct subject *, const char *path, const struct paths *ignore) MUST_USE;
void subject_close(struct subject *);
/** The weights of a subject that opened well, with the names of the table of its shape, on one rank. */
status subject_weights(const struct subject *, struct model *, struct source **) MUST_USE;
/** Compare all tensors of two subjects, and print a line for each that differs. E_DIFFERENT if one does. */
status subject_diff(const struct subject *, const struct subject *) MUST_USE;

#endif
