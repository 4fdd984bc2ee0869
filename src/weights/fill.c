#include "weights/fill.h"

#include <stdlib.h>

#include "base/denormals.h"
#include "base/mem.h"
#include "base/signals.h"

int64_t plan_bytes(const struct fill_plan *p, const struct model *m, const struct layout *l, int rank)
{
    int64_t bytes = 0;
    for (int i = 0; i < m->n_tensors; i++) {
        struct map part = map_restrict(&p->map[i], model_slab(m, l, rank, i));
        bytes = mem_add(bytes, map_bytes(&part, p->source));
        map_free(&part);
    }
    return bytes;
}

/* Fill one slab: directly in device memory if the host can write there, else through a copy on the host. */
static status fill_tensor(struct store *s, int tensor, const struct fill_plan *p, int64_t *bytes_read)
{
    view to = store_view(s, tensor, WEIGHT); /* [n0, n1, n2] */
    slab box = model_slab(s->model, &s->layout, s->rank, tensor);
    bool host = dev_host_memory(s->dev) && to.type == F32;
    float *out = host ? to.data : mem_new(view_size(to), sizeof *out);
    struct map part = map_restrict(&p->map[tensor], box);
    uint64_t control = denormals_keep(); /* so that the bits are those that coppice upcycle writes */
    status result = map_run(&part, p->source, box.n, out, bytes_read);
    denormals_set_control(control);
    map_free(&part);
    if (host)
        return result;
    if (result == OK)
        store_set(s, tensor, out);
    free(out);
    return result;
}

/* May several threads fill tensors at once? */
static bool is_concurrent(const struct store *s, const struct fill_plan *p)
{
    for (int i = 0; i < PLAN_SOURCES; i++)
        if (p->source[i] && !p->source[i]->concurrent)
            return false;
    return dev_host_memory(s->dev) && s->model->weights == F32;
}

/* Each thread fills one tensor after the other. The first failure is reported; each thread has a record of
 * its own.
 */
static status fill_local(struct store *s, const struct fill_plan *p, int64_t *bytes_read)
{
    int parts = s->layout.world;
    status result = OK;
    int64_t bytes = 0;
    bool failed = false;
    if (s->rank < parts)
        TRY(plan_check_heads(p, s->rank, parts, bytes_read));
    char *text = NULL;
#pragma omp parallel for schedule(dynamic) reduction(+ : bytes) if (is_concurrent(s, p))
    for (int i = 0; i < s->model->n_tensors; i++) {
        bool ended;
#pragma omp atomic read
        ended = failed;
        status code = ended ? OK : signals_check();
        if (code == OK && !ended)
            code = fill_tensor(s, i, p, &bytes);
        if (code == OK)
            continue;
#pragma omp atomic write
        failed = true;
#pragma omp critical(fill_failure)
        if (result == OK) {
            result = code;
            text = mem_text(status_text());
        }
    }
    if (text)
        status_set_text(text);
    free(text);
    *bytes_read += bytes;
    return result;
}

status weights_fill(struct store *s, struct comm *comm, const struct fill_plan *p, int64_t *bytes_read)
{
    *bytes_read = 0;
    return comm_agree(comm, fill_local(s, p, bytes_read));
}
