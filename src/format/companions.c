#include "format/companions.h"

#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"

enum { LIMIT = 1 << 30 };

/* How the names of tokenizer files begin. */
static const char *const tokenizers[] = {"tokenizer", "vocab.", "tekken.json", "spiece.model", NULL};
static const char *const others[] = {"special_tokens_map.json", "added_tokens.json",      "merges.txt",
                                     "chat_template",           "generation_config.json", NULL};

static bool begins(const char *name, const char *const list[])
{
    for (; *list; list++)
        if (!strncmp(name, *list, strlen(*list)))
            return true;
    return false;
}

bool companions_there(const char *dir)
{
    bool there = false;
    DIR *d = *dir ? io_opendir(dir) : NULL;
    for (const struct dirent *e; d && !there && (e = readdir(d));)
        there = begins(e->d_name, tokenizers);
    if (d)
        closedir(d);
    return there;
}

static status write_whole(const char *path, const char *bytes, int64_t size)
{
    struct file_draft draft;
    TRY(file_begin(&draft, path));
    status s = file_write(&draft, 0, size, bytes);
    if (s == OK)
        return file_publish(&draft);
    file_abandon(&draft);
    return s;
}

/* Copy a file. E_SPACE if it cannot be written; if it cannot be read, that is a warning. */
static status copy_file(const char *from_dir, const char *to_dir, const char *name, int *copied)
{
    char *from = mem_format("%s/%s", from_dir, name), *to = mem_format("%s/%s", to_dir, name), *bytes = NULL;
    int64_t size;
    bool read = file_load(from, LIMIT, &bytes, &size) == OK;
    if (!read)
        log_warn("%s; copy it beside the exported model", status_text());
    status s = read ? write_whole(to, bytes, size) : OK;
    *copied += read && s == OK;
    free(bytes);
    free(from);
    free(to);
    return s;
}

static const char WHICH[] =
    "tokenizer.json, tokenizer.model, tokenizer_config.json, special_tokens_map.json, "
    "generation_config.json";

static void say_missing(const char *from, const char *name)
{
    if (!*from)
        log_say("tokenizer none: the model names no Hugging Face folder that it comes from. If there is one, "
                "copy its tokenizer into %s (%s, those that exist), and its token ids into config.json",
                name, WHICH);
    else if (!io_exists(from))
        log_warn("%s: is gone, so no tokenizer was copied: copy it from there into %s (%s, those that exist)",
                 from, name, WHICH);
    else
        log_say("tokenizer none in %s; if the model has one, copy it into %s", from, name);
}

status companions_copy(const char *from, const char *to, const char *name)
{
    status s = OK;
    int copied = 0;
    DIR *d = *from ? io_opendir(from) : NULL;
    for (const struct dirent *e; d && s == OK && (e = readdir(d));)
        if (begins(e->d_name, tokenizers) || begins(e->d_name, others))
            s = copy_file(from, to, e->d_name, &copied);
    if (d)
        closedir(d);
    if (s == OK && !companions_there(to))
        say_missing(from, name);
    else if (s == OK)
        log_say("tokenizer %s (%d file%s copied)", from, copied, copied == 1 ? "" : "s");
    return s;
}
