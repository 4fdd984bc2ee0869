/* What h5.c and h5_read.c share. */
#ifndef FORMAT_H5_INSIDE_H
#define FORMAT_H5_INSIDE_H
#include <stdbool.h>
#include <stdint.h>
#include "format/h5.h"

struct h5 {
    int64_t file; /* an hid_t */
    char *path;
    bool created;
    int64_t size; /* of an opened file; nothing in it may claim to be larger */
};

/** The error of a failed HDF5 call, with the library's message: "FILE: DOING NAME: ...". */
status h5_fail(const struct h5 *, const char *name, const char *doing);

#endif
