/* What the programs about checkpoints share: a model on a layout, every element of which is a pure function
 * of (tensor, kind, global index), and its saves into a run folder of this test. Collective but for the
 * getters and names. */
#ifndef PARALLEL_CKPT_BODY_H
#define PARALLEL_CKPT_BODY_H
#include "ckpt/extent.h"

extern struct comm *comm;
extern struct dev *dev;
extern char run[64]; /* the run folder, new for this test */
extern bool async;   /* save from copies */
extern bool halves;  /* all numbers are such that BF16 has them */
extern int rank, world;
extern const struct config shape; /* nothing divides evenly */
extern const int plain[3];        /* a layout of data parallelism alone */

/** Open comm, device and folder. */
void bodies_open(void);
/** Remove the folder, and close the device. False if anything is left in the folder. */
bool bodies_close(void);

/* One rank's model on one layout. */
struct body {
    struct model model;
    struct layout layout;
    struct store store;
    struct group *group[GROUPS];
};

void body_open(struct body *b, const struct config *c, const int by[3], bool training);
void body_close(struct body *b);
/** Does x have the elements of a piece? */
bool is(const struct tensor *t, enum kind kind, const piece *p, int salt, const float *x);
/** Give every element of master and moments its value; another `salt`, other values. */
void fill(const struct body *b, int salt);
bool holds(const struct body *b, int salt, bool training);
/** Save, and load what a restart would load. The index is the caller's. */
status save(const struct body *b, int64_t step, int64_t writers);
status load(struct body *b, struct ckpt_index *x);
status load_status(struct body *b);
/** Does the message have this part? */
bool says(const char *part);
/** Caller frees. */
char *folder_of(int64_t step, const char *suffix);
char *path_of(int64_t step, const char *file);
bool exists(const char *path);
/** Rank 0 alone touches files; the others wait. */
void change_byte(const char *path, int64_t at);
void clean(void);
/** Is the index that of save(step 7), with so many files? */
bool index_good(const struct ckpt_index *x, const struct config *c, int files);

#endif
