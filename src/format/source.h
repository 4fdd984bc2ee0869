/* Named global arrays to read, whatever they come from: a Hugging Face directory of safetensors files, a
 * checkpoint (opened by ckpt/find.c), the random generator, or a read plan (weights/planned.c). Not
 * collective. */
#ifndef FORMAT_SOURCE_H
#define FORMAT_SOURCE_H
#include <stdbool.h>
#include "base/status.h"
#include "layout/slab.h"

struct array {
    char name[128];
    int64_t dim[3];        /* a matrix is [1, r, c], a vector [1, 1, n] */
    int element_bytes;     /* in the file; 0 = generated */
    const char *file;      /* the file with the array; NULL = the source's path. Owned by the source. */
    const char *type_name; /* the type in the file, such as "BF16"; NULL = generated or fp32. Static. */
};

struct source;
struct source_ops {
    /* Read a box, which lies in the array and is not empty. */
    status (*read)(struct source *, int array, slab box, float *out, int64_t *bytes_read);
    /* The same for an array whose type_name is BF16, in its stored form. NULL if the source cannot do that.
     */
    status (*read_bf16)(struct source *, int array, slab box, uint16_t *out, int64_t *bytes_read);
    void (*close)(struct source *); /* free what the implementation added; source_close frees the rest */
};
struct source { /* the first member of each implementation's struct, which comes from mem_new */
    const struct source_ops *ops;
    char *path; /* for messages; NULL for the generator */
    int n;
    struct array *array; /* sorted by name where it comes from files */
    bool sorted;         /* the arrays are sorted by name, so that source_find can bisect */
    bool concurrent;     /* several threads may read at once */
};

/** The index of an array by name, -1 if there is none. */
int source_find(const struct source *, const char *name);
/** Read a box into `out` (contiguous, row-major, fp32). *bytes_read += bytes read from the file. A box that
 * reaches outside the array is a bug(). Values from a file must be finite; else E_DATA: "FILE: tensor NAME:
 * ...". */
status source_read(struct source *, int array, slab box, float *out, int64_t *bytes_read) MUST_USE;
/** Can source_read_bf16 read the array in its stored form? It gives the upper halves of the floats that
 * source_read would give. */
bool source_has_bf16(const struct source *, int array);
status source_read_bf16(struct source *, int array, slab box, uint16_t *out, int64_t *bytes_read) MUST_USE;
void source_close(struct source *); /* may be NULL */

/** Open a Hugging Face directory: model.safetensors, or model.safetensors.index.json and its files, whose
 * names must not lead out of the folder. All arrays of these files are there, also those that the index does
 * not list. Arrays have at most three dimensions. E_DATA. */
status source_open_hf(struct source **, const char *dir) MUST_USE;
/** Open one safetensors file: the tensors whose names begin with `prefix` (such as "grad."), which is cut
 * off. E_DATA. */
status source_open_file(struct source **, const char *path, const char *prefix) MUST_USE;
/** Open the generator: array i is std*normal(seed, hash of name, global index). std = 0: zeros; std < 0:
 * ones. Names and dims are copied, in the order given. */
struct generated {
    const char *name;
    int64_t dim[3];
    double std;
};
struct source *source_open_random(uint64_t seed, const struct generated *, int n);

#endif
