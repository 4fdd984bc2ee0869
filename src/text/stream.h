/* The bytes of a file or of standard input ("-"), unpacked if they are gzip or zstd. The first bytes decide
 * that, not the name. Not collective. */
#ifndef TEXT_STREAM_H
#define TEXT_STREAM_H
#include <stdint.h>
#include "base/status.h"

struct stream;

/** E_DATA: the file does not exist, or is a folder. E_IO. */
status stream_open(struct stream **, const char *path) MUST_USE;
void stream_close(struct stream *);
/** Read up to `room` bytes; *got = 0 at the end. E_DATA: it is damaged or cut short, or this build cannot
 * unpack it. E_IO. */
status stream_read(struct stream *, char *to, int64_t room, int64_t *got) MUST_USE;
/** Bytes read from the file so far, before unpacking. */
int64_t stream_consumed(const struct stream *);

#endif
