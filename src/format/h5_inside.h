/* What h5.c and h5_read.c share. This is the only file that includes hdf5.h. */
#ifndef FORMAT_H5_INSIDE_H
#define FORMAT_H5_INSIDE_H
#include <hdf5.h>
#include "format/h5.h"

struct h5 {
    hid_t file;
    char *path;
    bool created;
    int64_t size; /* of an opened file; nothing in it may claim to be larger */
};

/** The error of a failed HDF5 call, with the library's message: "FILE: DOING NAME: ...". */
status h5_fail(const struct h5 *, const char *name, const char *doing);

#endif
