/* safetensors files, read by the exact rules of the format (README of huggingface/safetensors) and written
 * tensor by tensor. Beyond the format's rules, a tensor has at most 8 dimensions, and a name at most 4096
 * bytes without control bytes. Bad files are E_DATA: "FILE: tensor NAME: ..."; E_SPACE if writing fails. Not
 * collective. */
#ifndef FORMAT_SAFETENSORS_H
#define FORMAT_SAFETENSORS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

/* Types that can be read. ST_OTHER: a type of the format that cannot be read here, such as 8-bit floats. */
enum st_type { ST_F32, ST_F16, ST_BF16, ST_F64, ST_I64, ST_I32, ST_I16, ST_I8, ST_U8, ST_BOOL, ST_OTHER };
enum { ST_MAX_RANK = 8 };
int64_t st_type_size(enum st_type); /* bytes; 0 for ST_OTHER */
const char *st_type_name(enum st_type);

struct st_tensor {
    char *name;
    enum st_type type;
    const char *type_name; /* as in the file, also for ST_OTHER; a static text */
    int rank;
    int64_t shape[ST_MAX_RANK];
    int64_t at, bytes; /* offset in the file, size */
};

struct st_file {
    char *path;
    int fd;
    int64_t size;
    int n;
    struct st_tensor *tensor; /* sorted by name */
};

/** Open a file and check its whole header. */
status st_open(struct st_file *, const char *path) MUST_USE;
void st_close(struct st_file *);
/** The index of a tensor by name, -1 if there is none. */
int st_find(const struct st_file *, const char *name);
int64_t st_elements(const struct st_tensor *);
/** Elements [from, from+n) of a floating-point tensor as floats: F32, F16 and BF16 exactly, F64 rounded. */
status st_read_f32(const struct st_file *, int tensor, int64_t from, int64_t n, float *out) MUST_USE;
/** Elements of any tensor that can be read, in their stored type. */
status st_read_stored(const struct st_file *, int tensor, int64_t from, int64_t n, void *out) MUST_USE;
/** Elements of an integer tensor. */
status st_read_i64(const struct st_file *, int tensor, int64_t from, int64_t n, int64_t *out) MUST_USE;

/* Writing: declare all tensors, then give the data of each, in any order and in any pieces. The file is
 * written as PATH.tmp and renamed by st_finish. Its header is padded to 8 bytes, its entries are sorted by
 * alignment, then name, and its metadata say format = pt, which transformers needs. */
struct st_writer;
struct st_declare {
    const char *name;
    enum st_type type;
    int rank;
    int64_t shape[ST_MAX_RANK];
};
status st_create(struct st_writer **, const char *path, const struct st_declare *, int n) MUST_USE;
/** Write elements [from, from+n) of declared tensor i. Floats are rounded to its type (F32, F16 or BF16), to
 * nearest even. */
status st_write_f32(struct st_writer *, int i, int64_t from, int64_t n, const float *data) MUST_USE;
status st_write_i64(struct st_writer *, int i, int64_t from, int64_t n, const int64_t *data) MUST_USE;
/** Rename the file and free the writer, also on failure. A tensor that was not written in full is a bug(). */
status st_finish(struct st_writer *) MUST_USE;
void st_abandon(struct st_writer *); /* remove the temporary file and free; may be NULL */

#endif
