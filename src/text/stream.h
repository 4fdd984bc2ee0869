/* The bytes of a file or of standard input ("-"), unpacked where they are gzip or zstd: their first bytes say
 * so, not the name. Not collective. */
#ifndef TEXT_STREAM_H
#define TEXT_STREAM_H
#include <stdint.h>
#include "base/status.h"

struct stream;

/** E_DATA: it is not there, or a folder. E_IO. */
status stream_open(struct stream **, const char *path) MUST_USE;
void stream_close(struct stream *);
/** Up to `room` bytes; *got = 0 at the end. E_DATA: damaged or cut short, or this build cannot unpack it;
 * E_IO. */
status stream_read(struct stream *, char *to, int64_t room, int64_t *got) MUST_USE;
/** Bytes that were read from the file, packed as they are there. */
int64_t stream_consumed(const struct stream *);

#endif
