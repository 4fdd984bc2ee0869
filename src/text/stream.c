#include "text/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/io.h"
#include "base/mem.h"
#include "config.h"
#ifdef HAVE_ZLIB
#    include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#    include <zstd.h>
#endif

enum { INPUT = 1 << 18 };

struct stream {
    const char *path; /* for messages */
    int fd;
    enum { PLAIN, GZIP, ZSTD } form;
    char *input; /* [INPUT] of the file; bytes [at, end) are still to be used */
    int64_t at, end, consumed;
    bool ended;   /* the end of the file was read */
    bool partial; /* a packed part has begun and is not complete */
#ifdef HAVE_ZLIB
    z_stream z;
#endif
#ifdef HAVE_ZSTD
    ZSTD_DStream *zstd;
#endif
};

/* Read more of the file, behind what is left in the buffer. */
static status fill(struct stream *s)
{
    memmove(s->input, s->input + s->at, (size_t)(s->end - s->at));
    s->end -= s->at;
    s->at = 0;
    int64_t got = io_read_all(s->fd, s->input + s->end, INPUT - s->end, -1);
    if (got < 0)
        return fail(errno == EISDIR ? E_DATA : E_IO, "%s: cannot be read: %s", s->path,
                    errno == EISDIR ? "it is a folder; name its files" : strerror(errno));
    s->ended = got < INPUT - s->end;
    s->end += got;
    s->consumed += got;
    return OK;
}

/* ---- forms ---- */

#ifdef HAVE_ZLIB
static status gzip_open(struct stream *s)
{
    return inflateInit2(&s->z, 15 + 16) == Z_OK ? OK
                                                : fail(E_RESOURCE, "%s: no memory to unpack it", s->path);
}

static status gzip_read(struct stream *s, char *to, int64_t room, int64_t *got)
{
    s->z.next_in = (Bytef *)s->input + s->at;
    s->z.avail_in = (uInt)(s->end - s->at);
    s->z.next_out = (Bytef *)to;
    s->z.avail_out = (uInt)room;
    s->partial = true;
    int result = inflate(&s->z, Z_NO_FLUSH);
    s->at = s->end - s->z.avail_in;
    *got = room - s->z.avail_out;
    if (result == Z_STREAM_END) { /* gzip files may have several parts */
        s->partial = false;
        return inflateReset(&s->z) == Z_OK ? OK : fail(E_DATA, "%s: cannot be unpacked", s->path);
    }
    return result == Z_OK || result == Z_BUF_ERROR
               ? OK
               : fail(E_DATA, "%s: it is damaged: %s", s->path, s->z.msg ? s->z.msg : "not gzip");
}
#endif

#ifdef HAVE_ZSTD
static status zstd_open(struct stream *s)
{
    s->zstd = ZSTD_createDStream();
    return s->zstd ? OK : fail(E_RESOURCE, "%s: no memory to unpack it", s->path);
}

static status zstd_read(struct stream *s, char *to, int64_t room, int64_t *got)
{
    ZSTD_inBuffer in = {s->input + s->at, (size_t)(s->end - s->at), 0};
    ZSTD_outBuffer out = {to, (size_t)room, 0};
    size_t left = ZSTD_decompressStream(s->zstd, &out, &in);
    if (ZSTD_isError(left))
        return fail(E_DATA, "%s: it is damaged: %s", s->path, ZSTD_getErrorName(left));
    s->partial = left != 0;
    s->at += (int64_t)in.pos;
    *got = (int64_t)out.pos;
    return OK;
}
#endif

static status plain_read(struct stream *s, char *to, int64_t room, int64_t *got)
{
    *got = s->end - s->at < room ? s->end - s->at : room;
    memcpy(to, s->input + s->at, (size_t)*got);
    s->at += *got;
    return OK;
}

static status cannot_unpack(struct stream *s)
{
    return fail(E_DATA, "%s: it is packed by %s, and this build of Coppice lacks that library", s->path,
                s->form == GZIP ? "gzip (zlib)" : "zstd");
}

static status open_form(struct stream *s)
{
    bool gzip = s->end >= 2 && !memcmp(s->input, "\x1f\x8b", 2);
    bool zstd = s->end >= 4 && !memcmp(s->input, "\x28\xb5\x2f\xfd", 4);
    s->form = gzip ? GZIP : zstd ? ZSTD : PLAIN;
#ifdef HAVE_ZLIB
    if (gzip)
        return gzip_open(s);
#endif
#ifdef HAVE_ZSTD
    if (zstd)
        return zstd_open(s);
#endif
    return s->form == PLAIN ? OK : cannot_unpack(s);
}

static status read_form(struct stream *s, char *to, int64_t room, int64_t *got)
{
#ifdef HAVE_ZLIB
    if (s->form == GZIP)
        return gzip_read(s, to, room, got);
#endif
#ifdef HAVE_ZSTD
    if (s->form == ZSTD)
        return zstd_read(s, to, room, got);
#endif
    return plain_read(s, to, room, got);
}

/* ---- the stream ---- */

status stream_open(struct stream **out, const char *path)
{
    bool standard = !strcmp(path, "-");
    int fd = standard ? dup(STDIN_FILENO) : io_open(path, O_RDONLY, 0);
    if (fd < 0)
        return fail(errno == EIO || errno == ESTALE ? E_IO : E_DATA, "%s: cannot be opened: %s", path,
                    strerror(errno));
    struct stream *s = mem_new(1, sizeof *s);
    s->path = standard ? "standard input" : path;
    s->fd = fd;
    s->input = mem_new(INPUT, 1);
    status code = fill(s);
    if (code == OK)
        code = open_form(s);
    if (code == OK)
        *out = s;
    else
        stream_close(s);
    return code;
}

void stream_close(struct stream *s)
{
    if (!s)
        return;
#ifdef HAVE_ZLIB
    if (s->form == GZIP)
        inflateEnd(&s->z);
#endif
#ifdef HAVE_ZSTD
    ZSTD_freeDStream(s->zstd);
#endif
    io_close(s->fd);
    free(s->input);
    free(s);
}

status stream_read(struct stream *s, char *to, int64_t room, int64_t *got)
{
    *got = 0;
    while (*got == 0) {
        if (s->at == s->end && !s->ended)
            TRY(fill(s));
        int64_t before = s->at;
        if (s->at < s->end || s->partial)
            TRY(read_form(s, to, room, got));
        if (*got > 0 || s->at > before)
            continue;
        if (s->ended)
            return s->partial ? fail(E_DATA, "%s: it is cut short", s->path) : OK;
        TRY(fill(s)); /* what is left in the buffer is too little to unpack anything */
    }
    return OK;
}

int64_t stream_consumed(const struct stream *s)
{
    return s->consumed - (s->end - s->at);
}
