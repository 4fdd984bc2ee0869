/* Named global arrays to read, whatever the file: a Hugging Face directory (one or many
 * safetensors), a checkpoint (opened by ckpt/find.c), or the random generator. Not collective. */
#ifndef FORMAT_SOURCE_H
#define FORMAT_SOURCE_H
#include <stdbool.h>
#include "base/status.h"
#include "layout/slab.h"

struct array {
    char name[128];
    int64_t dim[3];        /* right-aligned: a matrix is [1, r, c], a vector [1, 1, n] */
    int element_bytes;     /* in the file; 0 = generated */
    const char *file;      /* that it lies in; NULL = the source's path. Lives as long as the source. */
    const char *type_name; /* "BF16" ... as the file says; NULL = generated or fp32. Static. */
};

struct source;
struct source_ops {
    /* box is inside the array and not empty. */
    status (*read)(struct source *, int array, slab box, float *out, int64_t *bytes_read);
    /* The same of an array whose type_name is BF16, as it is stored; NULL if it cannot. */
    status (*read_bf16)(struct source *, int array, slab box, uint16_t *out, int64_t *bytes_read);
    void (*close)(struct source *); /* frees what the implementation added; source_close the rest */
};
struct source { /* the first member of each implementation's struct, which mem_new made */
    const struct source_ops *ops;
    char *path; /* for messages; NULL for the generator */
    int n;
    struct array *array; /* sorted by name where it comes from files */
    bool sorted;         /* strictly by name: source_find bisects */
    bool concurrent;     /* several threads may read at once */
};

/** Index by name, -1 if there is none. */
int source_find(const struct source *, const char *name);
/** Read a box into `out` (contiguous, row-major, fp32); *bytes_read += bytes of the file touched.
 *  An empty box reads nothing; a box that reaches outside the array is a bug(). What comes from a file must
 * be finite: E_DATA, "FILE: tensor NAME: ...". */
status source_read(struct source *, int array, slab box, float *out, int64_t *bytes_read) MUST_USE;
/** True if source_read_bf16 can read the array as it is stored. It gives the upper halves of the floats that
 *  source_read would give. */
bool source_has_bf16(const struct source *, int array);
status source_read_bf16(struct source *, int array, slab box, uint16_t *out, int64_t *bytes_read) MUST_USE;
void source_close(struct source *); /* NULL is fine */

/** A Hugging Face directory: model.safetensors, or model.safetensors.index.json and its shards
 *  (plain basenames only; links in the user's own folder are followed). Arrays that lie in a shard count,
 *  whether the index lists them or not. Arrays of up to three dimensions. E_DATA. */
status source_open_hf(struct source **, const char *dir) MUST_USE;
/** One safetensors file: the tensors whose names begin with `prefix`, which is cut off ("grad." of a
 *  reference). E_DATA. */
status source_open_file(struct source **, const char *path, const char *prefix) MUST_USE;
/** The generator: array i gives std*normal(seed, hash of name, global index). std 0: zeros;
 *  std < 0: ones. Names and dims are copied, in the order given. */
struct generated {
    const char *name;
    int64_t dim[3];
    double std;
};
struct source *source_open_random(uint64_t seed, const struct generated *, int n);

#endif
