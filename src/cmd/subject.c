#include "cmd/subject.h"

#include <stdlib.h>
#include "base/mem.h"
#include "start/shape.h"
#include "weights/planned.h"
#include "weights/config_hf.h"

static status open_arrays(const struct subject *s, struct source **out)
{
    return s->checkpoint ? ckpt_source(out, s->path) : source_open_hf(out, s->path);
}

status subject_weights(const struct subject *s, struct model *m, struct source **out)
{
    struct fill_plan plan;
    struct source *arrays;
    TRY(open_arrays(s, &arrays));
    model_open(m, &s->config, &layout_alone);
    int64_t bytes = 0;
    status code = plan_same(&plan, m, arrays);
    if (code == OK) {
        *out = source_open_plan(plan, m); /* takes ownership of the plan */
        code = plan_check_heads(&plan, 0, 1, &bytes);
        if (code != OK)
            source_close(*out);
    }
    if (code != OK)
        model_close(m);
    return code;
}

/* Check that the files hold every tensor that the shape needs, and nothing else. */
static status check_names(const struct subject *s)
{
    struct model m;
    struct source *weights;
    TRY(subject_weights(s, &m, &weights));
    source_close(weights);
    model_close(&m);
    return OK;
}

/* Check that each array can be read as numbers, by its first element. */
static status check_types(struct source *arrays)
{
    const slab first = {.n = {1, 1, 1}};
    int64_t bytes = 0;
    for (int i = 0; i < arrays->n; i++) {
        float value;
        TRY(source_read(arrays, i, first, &value, &bytes));
    }
    return OK;
}

static status open_directory(struct subject *s, const struct paths *ignore)
{
    TRY(hf_config_read(&s->hf, s->path, ignore->path, ignore->n));
    s->described = true;
    TRY(config_from_hf(&s->config, &s->hf));
    TRY(config_check(&s->config));
    s->shaped = true;
    TRY(open_arrays(s, &s->arrays));
    TRY(check_names(s));
    return check_types(s->arrays);
}

static status open_checkpoint(struct subject *s)
{
    TRY(ckpt_index_read(&s->index, s->path));
    s->described = s->shaped = true;
    s->config = s->index.config;
    TRY(open_arrays(s, &s->arrays));
    return ckpt_usable(s->path);
}

status subject_open(struct subject *s, const char *path, const struct paths *ignore)
{
    *s = (struct subject){0};
    TRY(shapes_locate(path, &s->checkpoint, &s->path));
    return s->checkpoint ? open_checkpoint(s) : open_directory(s, ignore);
}

void subject_close(struct subject *s)
{
    source_close(s->arrays);
    if (s->checkpoint)
        ckpt_index_free(&s->index);
    else if (s->described)
        hf_config_free(&s->hf);
    free(s->path);
}
