#include "format/file_kind.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/file.h"
#include "base/io.h"
#include "base/mem.h"

/* The first bytes of files that are often found in the place of weights, indices or JSON. */
static const struct {
    const char *begin;
    const char *is;
} kinds[] = {
    {"version https://git-lfs",
     "a git-lfs pointer, not the file itself: install git-lfs and run `git lfs pull` in "
     "its folder, or download the file anew"},
    {"<!doctype", "an HTML page: the download was answered by a web page (log-in, error); download it anew"},
    {"<html", "an HTML page: the download was answered by a web page (log-in, error); download it anew"},
    {"Entry not found", "the hub's answer to a download that failed, not the file"},
    {"Invalid username or password", "the hub's answer to a download that was refused, not the file"},
    {"Access to model",
     "the hub's answer to a download that was refused, not the file: ask for access there"},
    {"../../blobs/",
     "the text of a symbolic link of the hub's cache, not the file: copy the cache with cp -rL"},
    {"GGUF", "a GGUF file of llama.cpp, not safetensors"},
    {"PK\3\4", "a file of torch.save (a zip archive): convert it to safetensors"},
    {"\x80\2", "a file of torch.save (a pickle): convert it to safetensors"},
    {"\x89HDF", "an HDF5 file"},
    {"\x1f\x8b", "compressed by gzip: unpack it first"},
};
enum { BEGIN = 64 };

static const char *kind_of(const char *begin, int64_t size)
{
    static const char nothing[BEGIN];
    if (size == 0)
        return "empty: a download or copy that did not finish?";
    if (size >= BEGIN && !memcmp(begin, nothing, BEGIN))
        return "nothing but zeros at its beginning: a download or copy that did not finish?";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strncasecmp(begin + strspn(begin, " \t\r\n"), kinds[i].begin, strlen(kinds[i].begin)))
            return kinds[i].is;
    return NULL;
}

status file_explain(status s, const char *path)
{
    char begin[BEGIN + 1] = "", *why = mem_text(status_text());
    int fd;
    int64_t size;
    if (s != OK && file_open(&fd, &size, path) == OK) {
        status read = file_read(fd, path, 0, size < BEGIN ? size : BEGIN, begin);
        const char *is = read == OK ? kind_of(begin, size) : NULL;
        io_close(fd);
        s = is ? fail(s, "%s: %s", path, is) : fail(s, "%s", why);
    } else if (s != OK)
        status_set_text(why);
    free(why);
    return s;
}
