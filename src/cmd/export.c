/* coppice export RUN|CHECKPOINT [--out DIR] [--as FORM] [--dtype float32|bfloat16]: write a checkpoint as a
 * Hugging Face directory, by default ./NAME-hf. FORM is auto or a row of weights/forms.c. Without MPI. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "ckpt/ckpt.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "comm/launch.h"
#include "weights/export.h"

enum { SHARD_GB = 5 };

static status export_checkpoint(const char *dir, const char *out, const struct options *o)
{
    struct ckpt_index index;
    struct source *source = NULL;
    TRY(ckpt_index_read(&index, dir));
    char shape[96], parameters[32];
    config_text(&index.config, shape);
    text_count(parameters, (double)config_parameters(&index.config));
    const char *type = o->dtype ? o->dtype : "float32";
    const struct export_options how = {o->as, type, (int64_t)SHARD_GB * 1000000000};
    status code = ckpt_source(&source, dir);
    if (code == OK)
        code = export_hf(source, &index.config, out, &how);
    source_close(source);
    if (code == OK)
        log_say("exported  %s, step %lld (%s, %s parameters) -> %s (%s)", dir, (long long)index.state.step,
                shape, parameters, out, type);
    ckpt_index_free(&index);
    return code;
}

/* The default folder, NAME-hf in the current one. Caller frees. */
static char *default_out(const char *path)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    return mem_format("%.*s-hf", (int)(end - begin), path + begin);
}

static status run_export(const struct options *o)
{
    if (o->n_files != 1)
        return fail(E_DECK, "coppice export needs one run folder or checkpoint");
    TRY(comm_one_task("coppice export works", ""));
    char *dir = NULL;
    TRY(ckpt_resolve(o->files[0], &dir));
    char *out = o->out ? mem_text(o->out) : default_out(o->files[0]);
    status code = export_checkpoint(dir, out, o);
    free(out);
    free(dir);
    return code;
}

int cmd_export(int argc, char **argv)
{
    struct options o;
    log_open(true, false);
    status code = options_parse(&o, argc, argv);
    log_open(true, o.quiet);
    if (code == OK)
        code = run_export(&o);
    if (code != OK)
        log_error(status_text());
    options_free(&o);
    return code;
}
