#include "layout/layout.h"

#include "base/mem.h"
#include "base/status.h"

const struct layout layout_alone = {.world = 1, .dp = 1, .tp = 1, .kv = 1, .edp = 1, .ep = 1, .etp = 1};

static int64_t gcd(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Heads must be cut evenly. KV heads must be cut evenly, or each be held by equally many ranks. 0 needs
 * nothing. */
static bool tp_fits(int64_t tp, const struct layout_needs *needs)
{
    int64_t g = needs->kv_heads;
    return needs->heads % tp == 0 && (g == 0 || g % tp == 0 || tp % g == 0);
}

static bool fits(int64_t world, int64_t tp, int64_t ep, int64_t etp, const struct layout_needs *needs)
{
    return world % tp == 0 && world % ep == 0 && world / ep % etp == 0 && needs->experts % ep == 0 &&
           tp_fits(tp, needs);
}

/* Append the sizes that would fit in the place of size[which]: "; would fit: parallel.tensor 1, 2, 4". */
static bool append_fitting(char **text, int64_t world, const int64_t size[3], int which,
                           const struct layout_needs *needs)
{
    static const char *const key[3] = {"tensor", "expert", "expert_tensor"};
    int found = 0;
    for (int64_t n = 1; n <= world; n++) {
        int64_t try[3] = {size[0], size[1], size[2]};
        try[which] = n;
        if (!fits(world, try[0], try[1], try[2], needs))
            continue;
        if (found++ == 0)
            mem_append(text, "; would fit: parallel.%s", key[which]);
        mem_append(text, "%s %lld", found > 1 ? "," : "", (long long)n);
    }
    return found > 0;
}

/* Append, for each of the three sizes, what would fit if it alone changed. */
static void append_advice(char **text, int64_t world, const int64_t size[3], const struct layout_needs *needs)
{
    bool any = false;
    for (int i = 0; i < 3; i++)
        any = append_fitting(text, world, size, i, needs) || any;
    if (!any)
        mem_append(text, "; no single change would fit: start from tensor 1, expert %lld, expert_tensor 1",
                   (long long)(needs->experts ? gcd(world, needs->experts) : 1));
}

/* NULL, or a message about the first size that does not divide what it must. */
static char *complaint(long long world, long long tp, long long ep, long long etp,
                       const struct layout_needs *needs)
{
    long long heads = needs->heads, kv = needs->kv_heads, experts = needs->experts;
    if (world % tp != 0)
        return mem_format("parallel.tensor %lld does not divide %lld ranks", tp, world);
    if (world % ep != 0 || world / ep % etp != 0)
        return mem_format("parallel.expert %lld x expert_tensor %lld does not divide %lld ranks", ep, etp,
                          world);
    if (heads % tp != 0)
        return mem_format("parallel.tensor %lld does not divide %lld heads", tp, heads);
    if (!tp_fits(tp, needs))
        return mem_format("parallel.tensor %lld neither divides nor is a multiple of %lld KV heads", tp, kv);
    if (experts % ep != 0)
        return mem_format("parallel.expert %lld does not divide %lld experts", ep, experts);
    return NULL;
}

static void fill(struct layout *l, int world, int tp, int ep, int etp, const struct layout_needs *needs)
{
    int kv = needs->kv_heads > 0 && needs->kv_heads < tp ? (int)needs->kv_heads : tp;
    *l = (struct layout){
        .world = world, .dp = world / tp, .tp = tp, .kv = kv, .edp = world / ep / etp, .ep = ep, .etp = etp};
}

char *layout_make(struct layout *l, int world, int tp, int ep, int etp, const struct layout_needs *needs)
{
    if (world < 1 || tp < 1 || ep < 1 || etp < 1)
        return mem_format("parallel.tensor %d, expert %d and expert_tensor %d must be at least 1", tp, ep,
                          etp);
    char *what = complaint(world, tp, ep, etp, needs);
    if (what)
        append_advice(&what, world, (int64_t[]){tp, ep, etp}, needs);
    else
        fill(l, world, tp, ep, etp, needs);
    return what;
}

struct layout layout_for_source(const struct layout *l, const struct layout_needs *source)
{
    struct layout s;
    int tp = l->tp;
    while (l->tp % tp != 0 || !tp_fits(tp, source))
        tp--;
    fill(&s, l->world, tp, (int)gcd(l->ep, source->experts ? source->experts : 1), 1, source);
    return s;
}

struct coords layout_coords(const struct layout *l, int rank)
{
    return (struct coords){.d = rank / l->tp,
                           .t = rank % l->tp,
                           .x = rank / l->etp / l->ep,
                           .p = rank / l->etp % l->ep,
                           .q = rank % l->etp};
}

slab layout_slab(const struct layout *l, int rank, const int64_t dim[3], const enum cut by[3])
{
    struct coords c = layout_coords(l, rank);
    slab s;
    for (int i = 0; i < 3; i++) {
        struct range r = {0, dim[i]};
        switch (by[i]) {
        case WHOLE: break;
        case BY_TP: r = block(dim[i], l->tp, c.t); break;
        case BY_KV: r = block(dim[i], l->kv, c.t / (l->tp / l->kv)); break;
        case BY_EP: r = block(dim[i], l->ep, c.p); break;
        case BY_ETP: r = block(dim[i], l->etp, c.q); break;
        }
        s.lo[i] = r.lo;
        s.n[i] = r.n;
    }
    return s;
}

enum group_id layout_replicas(const struct layout *l, const enum cut by[3])
{
    enum group_id g = G_WORLD;
    for (int i = 0; i < 3; i++)
        switch (by[i]) {
        case WHOLE: break;
        case BY_TP: g = G_DP; break;
        case BY_KV: g = l->kv == l->tp ? G_DP : G_KVDP; break;
        case BY_EP:
        case BY_ETP: g = G_EDP; break;
        }
    return g;
}

/* A group is the ranks  base + i0*step0 + i1*step1  with i0 < n0, i1 < n1. Most groups need only one of the
 * two; G_KVDP has n1 = TP/kv ranks with the same keys and values in each DP rank. Member i is (i0, i1), i1
 * fastest. */
struct ranks {
    int base, n0, step0, n1, step1;
};

static struct ranks group_of(const struct layout *l, int rank, enum group_id g)
{
    struct coords c = layout_coords(l, rank);
    int copies = l->tp / l->kv;
    switch (g) {
    case G_TP: return (struct ranks){rank - c.t, 1, 0, l->tp, 1};
    case G_DP: return (struct ranks){c.t, 1, 0, l->dp, l->tp};
    case G_KVDP: return (struct ranks){c.t / copies * copies, l->dp, l->tp, copies, 1};
    case G_EP: return (struct ranks){rank - c.p * l->etp, 1, 0, l->ep, l->etp};
    case G_ETP: return (struct ranks){rank - c.q, 1, 0, l->etp, 1};
    case G_EDP: return (struct ranks){c.p * l->etp + c.q, 1, 0, l->edp, l->ep * l->etp};
    case G_WORLD: return (struct ranks){0, 1, 0, l->world, 1};
    case GROUPS: break;
    }
    bug("no group %d", (int)g);
}

int layout_group_size(const struct layout *l, enum group_id g)
{
    struct ranks r = group_of(l, 0, g);
    return r.n0 * r.n1;
}

int layout_group_index(const struct layout *l, int rank, enum group_id g)
{
    struct ranks r = group_of(l, rank, g);
    int from_base = rank - r.base, i0 = r.step0 ? from_base / r.step0 : 0;
    return i0 * r.n1 + (from_base - i0 * r.step0) / r.step1;
}

int layout_group_member(const struct layout *l, int rank, enum group_id g, int i)
{
    struct ranks r = group_of(l, rank, g);
    if (i < 0 || i >= r.n0 * r.n1)
        bug("group %d has %d ranks, no index %d", (int)g, r.n0 * r.n1, i);
    return r.base + i / r.n1 * r.step0 + i % r.n1 * r.step1;
}

struct range layout_micros(const struct layout *l, int64_t micros, int d)
{
    return block(micros, l->dp, d);
}

int64_t layout_rounds(const struct layout *l, int64_t micros)
{
    return (micros + l->dp - 1) / l->dp;
}

struct range layout_tokens(const struct layout *l, int64_t tokens, int t)
{
    int64_t c = (tokens + l->tp - 1) / l->tp, lo = mem_mul(t, c), hi = lo + c;
    lo = lo < tokens ? lo : tokens;
    hi = hi < tokens ? hi : tokens;
    return (struct range){lo, hi - lo};
}
