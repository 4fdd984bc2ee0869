/* safetensors files, read by the exact rules of the format (README of huggingface/safetensors) and
 * written tensor by tensor. Not collective. E_DATA on bad files with "FILE: tensor NAME: ...";
 * E_SPACE when writing fails. Beyond the format's own rules: rank <= 8, names <= 4096 bytes and
 * without control bytes. */
#ifndef FORMAT_SAFETENSORS_H
#define FORMAT_SAFETENSORS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

/* Types that can be read; ST_OTHER: one that the format knows and we do not read (8-bit floats ...). */
enum st_type { ST_F32, ST_F16, ST_BF16, ST_F64, ST_I64, ST_I32, ST_I16, ST_I8, ST_U8, ST_BOOL, ST_OTHER };
enum { ST_MAX_RANK = 8 };
int64_t st_type_size(enum st_type); /* bytes; 0 for ST_OTHER */
const char *st_type_name(enum st_type);

struct st_tensor {
    char *name;
    enum st_type type;
    const char *type_name; /* as in the file, also for ST_OTHER; static */
    int rank;
    int64_t shape[ST_MAX_RANK];
    int64_t at, bytes; /* absolute offset in the file, size */
};

struct st_file {
    char *path;
    int fd;
    int64_t size;
    int n;
    struct st_tensor *tensor; /* sorted by name */
};

/** Open and check the whole header. */
status st_open(struct st_file *, const char *path) MUST_USE;
void st_close(struct st_file *);
/** Index by name, -1 if there is none (binary search). */
int st_find(const struct st_file *, const char *name);
int64_t st_elements(const struct st_tensor *);
/** Elements [from, from+n) of a floating tensor as float (F32, F16, BF16 exactly; F64 rounded). */
status st_read_f32(const struct st_file *, int tensor, int64_t from, int64_t n, float *out) MUST_USE;
/** Elements of any tensor that can be read, as they are stored. */
status st_read_stored(const struct st_file *, int tensor, int64_t from, int64_t n, void *out) MUST_USE;
/** Elements of an integer tensor. */
status st_read_i64(const struct st_file *, int tensor, int64_t from, int64_t n, int64_t *out) MUST_USE;

/* Writing: declare all tensors, then give the data of each, in any order and in any pieces. Written
 * to PATH.tmp, published by rename in st_finish. Header padded to 8 bytes, entries by alignment then
 * name, metadata format = pt (which transformers asks for). */
struct st_writer;
struct st_declare {
    const char *name;
    enum st_type type;
    int rank;
    int64_t shape[ST_MAX_RANK];
};
status st_create(struct st_writer **, const char *path, const struct st_declare *, int n) MUST_USE;
/** Write elements [from, from+n) of declared tensor i (F32 -> its type F32, F16 or BF16,
 *  rounded to nearest even; I64 as is). */
status st_write_f32(struct st_writer *, int i, int64_t from, int64_t n, const float *data) MUST_USE;
status st_write_i64(struct st_writer *, int i, int64_t from, int64_t n, const int64_t *data) MUST_USE;
/** Publish and free, also on failure. A tensor that was not written in full is a bug(). */
status st_finish(struct st_writer *) MUST_USE;
void st_abandon(struct st_writer *); /* removes the temporary file, frees; NULL is fine */

#endif
