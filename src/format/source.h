/* Named global arrays to read, whatever the file: a Hugging Face directory (one or many
 * safetensors), a checkpoint (opened by ckpt/find.c), or the random generator. Not collective. */
#ifndef FORMAT_SOURCE_H
#define FORMAT_SOURCE_H
#include "base/status.h"
#include "layout/slab.h"

struct array {
    char name[128];
    int64_t dim[3]; /* right-aligned: a matrix is [1, r, c], a vector [1, 1, n] */
    int element_bytes; /* in the file; 0 = generated */
};

struct source;
struct source_ops {
    status (*read)(struct source *, int array, slab box, float *out, int64_t *bytes_read);
    void (*close)(struct source *);
};
struct source { /* the first member of each implementation's struct */
    const struct source_ops *ops;
    char *path; /* for messages; NULL for the generator */
    int n;
    struct array *array; /* sorted by name where it comes from files */
};

/** Index by name, -1 if there is none. */
int source_find(const struct source *, const char *name);
/** Read a box into `out` (contiguous, row-major, fp32); *bytes_read += bytes of the file touched. */
status source_read(struct source *, int array, slab box, float *out, int64_t *bytes_read) MUST_USE;
void source_close(struct source *);

/** A Hugging Face directory: model.safetensors, or model.safetensors.index.json and its shards
 *  (plain basenames only; links in the user's own folder are followed). */
status source_open_hf(struct source **, const char *dir) MUST_USE;
/** The generator: array i gives std*normal(seed, hash of name, global index). std 0: zeros;
 *  std < 0: ones. Names and dims are copied. */
struct generated { const char *name; int64_t dim[3]; double std; };
struct source *source_open_random(uint64_t seed, const struct generated *, int n);

#endif
