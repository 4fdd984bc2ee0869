/* safetensors files, read by the exact rules of the format (README of huggingface/safetensors, and
 * facts/reliability section 4) and written tensor by tensor. Not collective. E_DATA on bad files
 * with "FILE: tensor NAME: ..." ; E_SPACE when writing fails. */
#ifndef FORMAT_SAFETENSORS_H
#define FORMAT_SAFETENSORS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

enum st_type { ST_F32, ST_F16, ST_BF16, ST_F64, ST_I64, ST_I32, ST_I16, ST_I8, ST_U8, ST_BOOL, ST_OTHER };
int64_t st_type_size(enum st_type);
const char *st_type_name(enum st_type);

struct st_tensor {
    char *name;
    enum st_type type;
    int rank;
    int64_t shape[8];
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
/** Elements [from, from+n) of a floating tensor as float (F32, F16, BF16, F64). */
status st_read_f32(const struct st_file *, int tensor, int64_t from, int64_t n, float *out) MUST_USE;
/** Elements of an integer tensor. */
status st_read_i64(const struct st_file *, int tensor, int64_t from, int64_t n, int64_t *out) MUST_USE;

/* Writing: declare all tensors, then give the data of each in that order. Written to PATH.tmp,
 * published by rename in st_finish. Header padded to 8 bytes, entries by alignment then name. */
struct st_writer;
struct st_declare { const char *name; enum st_type type; int rank; int64_t shape[8]; };
status st_create(struct st_writer **, const char *path, const struct st_declare *, int n) MUST_USE;
/** Write elements [from, from+n) of declared tensor i (F32 -> its type F32 or BF16; I64 as is). */
status st_write_f32(struct st_writer *, int i, int64_t from, int64_t n, const float *data) MUST_USE;
status st_write_i64(struct st_writer *, int i, int64_t from, int64_t n, const int64_t *data) MUST_USE;
status st_finish(struct st_writer *) MUST_USE;      /* also frees */
void st_abandon(struct st_writer *);                /* removes the temporary file, frees */

#endif
