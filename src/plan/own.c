#include "plan/own.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/dtype.h"
#include "ckpt/ckpt.h"
#include "model/store.h"
#include "plan/closed.h"

/* ---- time ---- */

/* Where an op's time belongs; what is not listed is elementwise work of the net. */
enum family { PRODUCTS, ATTENTION, ELEMENTWISE, NORM, UPDATE, FAMILIES };
static const char *const family_name[FAMILIES] = {"matrix products", "attention", "elementwise ops",
                                                  "norm of the gradients", "optimizer"};
static const enum phase family_phase[FAMILIES] = {PHASE_NET, PHASE_NET, PHASE_NET, PHASE_NORM,
                                                  PHASE_OPTIMIZER};
static const struct {
    const char *op;
    enum family family;
} families[] = {{"gemm", PRODUCTS},
                {"router_logits", PRODUCTS},
                {"expert_ffn_fwd", PRODUCTS},
                {"expert_ffn_bwd", PRODUCTS},
                {"head_loss_fwd", PRODUCTS},
                {"head_loss_bwd", PRODUCTS},
                {"attn_fwd", ATTENTION},
                {"attn_bwd", ATTENTION},
                {"sumsq", NORM},
                {"adamw", UPDATE},
                {"clip", UPDATE},
                {"balance_bias", UPDATE},
                {"balance_load", UPDATE}};

static enum family family_of(const char *op)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strcmp(families[i].op, op))
            return families[i].family;
    return ELEMENTWISE;
}

/* Seconds of a row's calls, without the gaps between them. */
static double op_seconds(const struct machine *c, const struct dev_profile_row *o, double sequence)
{
    double calls = (double)o->calls, bytes = o->bytes / c->memory;
    if (!strcmp(o->op, "attn_fwd"))
        return cost_attn_fwd(c, o->flops, sequence);
    if (!strcmp(o->op, "attn_bwd"))
        return cost_attn_bwd(c, o->flops, sequence);
    if (o->flops <= 0 || calls < 1)
        return bytes;
    double k = o->flops / calls / (2 * (double)o->m * (double)o->n);
    return fmax(bytes, calls * cost_gemm(c, (double)o->m, (double)o->n, k, 1, false));
}

static double stride_of(const struct layout *l, enum group_id g)
{
    return g == G_DP ? l->tp : g == G_EP ? l->etp : g == G_EDP ? l->ep * l->etp : 1;
}

/* Bytes that a rank sends in all, in so many calls. */
static double group_seconds_of(const struct machine *c, const struct layout *l, enum group_id g,
                               const struct rehearsed_group *t)
{
    double n = t->size, calls = fmax(t->calls, 1);
    if (n <= 1 || t->calls < 1)
        return 0;
    double each = t->bytes / calls * n / (n - 1); /* of the whole tensor, as the formulas have it */
    return calls * (g == G_EP ? cost_exchange(c, each, n, stride_of(l, g), 1)
                              : cost_collective(c, each, n, stride_of(l, g)));
}

static void add_traffic(struct own_plan *o, const struct machine *c, const struct rehearsal *r,
                        const struct layout *l, dtype weights)
{
    static const char *const name[GROUPS] = {
        [G_TP] = "tensor-parallel traffic", [G_EP] = "expert all-to-all", [G_ETP] = "expert-tensor traffic"};
    double data = 0, gathered = (double)dtype_size(weights) / (double)(dtype_size(weights) + dtype_size(F32));
    for (int g = 0; g < GROUPS; g++) {
        double seconds = group_seconds_of(c, l, (enum group_id)g, &r->group[g]);
        if (!name[g]) {
            data += seconds;
            continue;
        }
        plan_add(&o->plan, name[g], seconds);
        o->phase[PHASE_EXCHANGE] += seconds;
    }
    o->phase[PHASE_REDUCE] = data * (1 - gathered);
    o->phase[PHASE_GATHER] = data * gathered;
    plan_add(&o->plan, "sums of gradients", o->phase[PHASE_REDUCE]);
    plan_add(&o->plan, "gathering of weights", o->phase[PHASE_GATHER]);
}

double plan_own_load(const struct config *c, const struct layout *l)
{
    const double dropless = 1.10;
    bool padded = c->moe.capacity_ppm > 0 && c->moe.capacity_ppm <= 1000000;
    return config_moe_layers(c) > 0 && l->ep > 1 && !padded ? dropless : 1;
}

/* FLOPs of the experts of one rank in a step. */
static double expert_flops(const struct deck *d, const struct config *c, const struct layout *l)
{
    double rows = (double)(d->batch.sequences * d->data.sequence * c->moe.top_k) / l->world;
    return 18 * rows * (double)(c->hidden * config_expert_ffn(c) * config_moe_layers(c));
}

static void add_time(struct own_plan *o, const struct machine *c, const struct rehearsal *r,
                     const struct deck *d, const struct config *config, const struct layout *l)
{
    struct plan *p = &o->plan;
    double seconds[FAMILIES] = {0}, gaps = 0, executed = 0;
    for (int i = 0; i < r->rows; i++) {
        enum family f = family_of(r->row[i].op);
        seconds[f] += op_seconds(c, &r->row[i], (double)d->data.sequence);
        gaps += (double)r->row[i].calls * c->gap;
        executed += r->row[i].flops;
    }
    for (int f = 0; f < FAMILIES; f++) {
        o->phase[family_phase[f]] += seconds[f];
        plan_add(p, family_name[f], seconds[f]);
    }
    double waits = (plan_own_load(config, l) - 1) * expert_flops(d, config, l) / c->gemm;
    plan_add(p, "waiting for the fullest experts", waits);
    plan_add(p, "gaps between kernels", gaps);
    o->phase[PHASE_NET] += waits + gaps;
    add_traffic(o, c, r, l, d->device.precision);
    for (int i = 0; i < p->lines; i++)
        p->step += p->line[i].seconds;
    p->tokens = (double)(d->batch.sequences * d->data.sequence);
    p->megatron = p->tokens * config_flops_per_token(config, d->data.sequence);
    p->six_n = p->tokens * 6 * (double)config_active_parameters(config);
    p->executed = executed * l->world;
}

/* ---- memory ---- */

static bool on_host(const struct deck *d)
{
    return d->device.type == DEVICE_CPU;
}

/* context: what the program, libraries and drivers take. */
static void set_memory(double memory[MEMORY_KINDS], const struct deck *d, const struct layout *l,
                       const struct rehearsal *r, double context)
{
    double balanced = (double)r->routed / (l->ep > 1 ? d->model.moe.imbalance : 1);
    memory[MEMORY_WEIGHTS] = (double)r->store[WEIGHT];
    memory[MEMORY_GRADIENTS] = (double)r->store[GRAD];
    memory[MEMORY_OPTIMIZER] = (double)(r->store[MASTER] + r->store[MOMENT1] + r->store[MOMENT2]);
    memory[MEMORY_SAVED] = (double)r->saved + balanced;
    memory[MEMORY_SCRATCH] = (double)(r->scratch + r->small);
    memory[MEMORY_COMMUNICATION] = (double)r->exchange;
    memory[MEMORY_SNAPSHOT] = on_host(d) ? (double)r->snapshot : 0; /* else it is in the host's memory */
    memory[MEMORY_IMBALANCE] = (double)r->routed - balanced;
    memory[MEMORY_BEYOND] = (double)r->beyond;
    memory[MEMORY_CONTEXT] = context;
}

/* Where device memory is the host's, the heap's holes, kernels' scratch and page tables take their part, too.
 * With bf16 they are fp32 copies of operands, and the library's kernels. */
static double context_of(const struct machine *c, const struct deck *d, const struct rehearsal *r)
{
    const double heap = 0.02;
    return c->context + (on_host(d) ? heap * (double)rehearsal_bytes(r) : 0);
}

static int64_t gcd(int64_t a, int64_t b)
{
    return b == 0 ? a : gcd(b, a % b);
}

/* Ranks differ by their place among tensor ranks and among expert-tensor ranks alone. */
struct kind_of_rank {
    int64_t store, tokens;
};

static struct kind_of_rank kind_of(const struct model *m, const struct layout *l, int rank, int64_t tokens)
{
    return (struct kind_of_rank){store_bytes(m, l, rank, true),
                                 layout_tokens(l, tokens, layout_coords(l, rank).t).n};
}

/* Fills first and ranks of the classes; returns how many. */
static int find_classes(struct rank_class *class, const struct model *m, const struct layout *l,
                        int64_t tokens)
{
    struct kind_of_rank kind[OWN_CLASSES];
    int n = 0;
    int64_t period = l->tp / gcd(l->tp, l->etp) * l->etp;
    for (int rank = 0; rank < period; rank++) {
        struct kind_of_rank is = kind_of(m, l, rank, tokens);
        int i = 0;
        while (i < n && (kind[i].store != is.store || kind[i].tokens != is.tokens))
            i++;
        if (i == OWN_CLASSES)
            i--;
        if (i == n) {
            kind[n] = is;
            class[n++] = (struct rank_class){.first = rank};
        }
        class[i].ranks += (int)(l->world / period);
    }
    return n;
}

static double sum_of(const double memory[MEMORY_KINDS])
{
    double sum = 0;
    for (int k = 0; k < MEMORY_KINDS; k++)
        sum += memory[k];
    return sum;
}

/* checkpoint.async: auto takes copies only where they fit. */
static void drop_copies(struct rank_class *r, const struct machine *c, const struct deck *d)
{
    if (d->checkpoint.async == ASYNC_AUTO && sum_of(r->memory) > c->capacity)
        r->memory[MEMORY_SNAPSHOT] = 0;
}

static void fullest_first(struct own_plan *o)
{
    for (int i = 1; i < o->classes; i++)
        if (sum_of(o->by_class[i].memory) > sum_of(o->by_class[0].memory)) {
            struct rank_class other = o->by_class[0];
            o->by_class[0] = o->by_class[i];
            o->by_class[i] = other;
        }
    memcpy(o->plan.memory, o->by_class[0].memory, sizeof o->plan.memory);
}

/* Ops and messages of rank 0 by the closed form. */
static status count_closed(struct rehearsal *r, const struct deck *d, const struct config *config,
                           const struct layout *l)
{
    struct closed form;
    struct dev *dev;
    TRY(rehearsal_device(&dev, d));
    plan_closed(&form, dev, d, config, l, 0);
    dev_close(dev);
    r->row = form.row;
    r->rows = form.rows;
    memcpy(r->group, form.group, sizeof r->group);
    return OK;
}

static status count_rank(struct rehearsal *r, const struct deck *d, const struct config *config,
                         const struct layout *l, int rank, enum own_way way)
{
    if (rank == 0 &&
        (way == OWN_STEP || d->device.recompute != RECOMPUTE_NONE)) /* the closed form knows none */
        return rehearse(r, d, config, l, rank);
    TRY(rehearse_memory(r, d, config, l, rank));
    return rank == 0 ? count_closed(r, d, config, l) : OK;
}

static status plan_classes(struct own_plan *o, const struct machine *c, const struct deck *d,
                           const struct config *config, const struct layout *l, enum own_way way)
{
    for (int i = 0; i < o->classes; i++) {
        struct rehearsal r;
        status code = count_rank(&r, d, config, l, o->by_class[i].first, way);
        o->rehearsals++;
        if (code == OK)
            set_memory(o->by_class[i].memory, d, l, &r, context_of(c, d, &r));
        drop_copies(&o->by_class[i], c, d);
        if (code == OK && o->by_class[i].first == 0) /* it has as many tokens as any */
            add_time(o, c, &r, d, config, l);
        rehearsal_free(&r);
        TRY(code);
    }
    fullest_first(o);
    return OK;
}

status plan_own(struct own_plan *o, const struct machine *c, const struct deck *d,
                const struct config *config, const struct layout *l, enum own_way way)
{
    struct model m;
    *o = (struct own_plan){0};
    model_open_stored(&m, config, l, d->device.precision);
    o->classes = find_classes(o->by_class, &m, l, d->batch.micro * d->data.sequence);
    o->checkpoint = (double)ckpt_bytes(&m);
    model_close(&m);
    return plan_classes(o, c, d, config, l, way);
}

/* What is in place before the first step: all but rows at the experts and the copies for checkpoints. The
 * rest of what is resident is the program's own. */
static double context_there(const struct rehearsal *r, double resident)
{
    return resident - (double)(rehearsal_bytes(r) - r->routed - r->beyond - r->snapshot);
}

status plan_peak(double *bytes, const struct deck *d, const struct config *c, const struct layout *l,
                 int rank, double resident)
{
    struct rehearsal r;
    double memory[MEMORY_KINDS];
    status code = rehearse_memory(&r, d, c, l, rank);
    if (code == OK)
        set_memory(memory, d, l, &r, context_there(&r, resident));
    if (code == OK) /* the memory of another device is not the host's */
        *bytes = on_host(d) ? sum_of(memory) : resident + (double)r.snapshot;
    rehearsal_free(&r);
    return code;
}

/* ---- what training compares itself with ---- */

/* The site's machine file; NULL: it names none. */
static const char *site_machine(const struct site *s, enum device_type type)
{
    const char *cpu = site_get(s, "machine_cpu");
    return type == DEVICE_CPU && cpu ? cpu : site_get(s, "machine");
}

status plan_machine(struct machine *m, const char *file, const struct deck *d, const struct site *s,
                    enum device_type type, bool *own)
{
    if (!file)
        file = d->run.machine ? d->run.machine : site_machine(s, type);
    *own = file;
    return machine_read(m, file ? file : type == DEVICE_CPU ? "cpu" : "dgx-h100");
}

/* Another processor of the same kind: what computes goes with its products, memory does not. */
static void scale(struct machine *m, double ceiling)
{
    double by = ceiling / m->gemm;
    m->peak *= by;
    m->gemm *= by;
    m->attn_fwd *= by;
    m->attn_bwd *= by;
    snprintf(m->name + strnlen(m->name, sizeof m->name - 24), 24, ", scaled");
}

static status forecast_machine(struct machine *m, const struct deck *d, bool *own)
{
    struct site site;
    status code = site_read(&site);
    if (code == OK)
        code = plan_machine(m, NULL, d, &site, d->device.type, own);
    site_free(&site);
    return code;
}

status plan_forecast(struct forecast *f, const struct deck *d, const struct config *c, const struct layout *l,
                     double ceiling)
{
    struct machine m;
    struct own_plan o;
    *f = (struct forecast){.peak = f->peak};
    bool own;
    TRY(forecast_machine(&m, d, &own));
    if (!own && d->device.type == DEVICE_CPU)
        scale(&m, ceiling);
    TRY(plan_own(&o, &m, d, c, l, OWN_CLOSED));
    f->step = o.plan.step;
    f->band = m.band;
    f->memory = plan_memory(&o.plan);
    memcpy(f->phase, o.phase, sizeof f->phase);
    snprintf(f->machine, sizeof f->machine, "%.79s", m.name);
    return OK;
}
