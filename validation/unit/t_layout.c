/* The layout at up to 10,000 ranks, without MPI. */
#include "layout/layout.h"

#include <string.h>
#include "base/mem.h"
#include "tap.h"

static struct layout must(int world, int tp, int ep, int etp, struct layout_needs needs)
{
    struct layout l;
    char *text = layout_make(&l, world, tp, ep, etp, &needs);
    if (text) {
        printf("Bail out! %s\n", text);
        exit(1);
    }
    return l;
}

/* Every rank is in one group of each kind, at the index under which the group lists it; all members
 * list the same ranks. So the group of index 0 speaks for all: compare each rank's list with that. */
static bool groups_agree(const struct layout *l, enum group_id g)
{
    int size = layout_group_size(l, g), firsts = 0;
    for (int rank = 0; rank < l->world; rank++) {
        int mine = layout_group_index(l, rank, g), first = layout_group_member(l, rank, g, 0);
        if (mine < 0 || mine >= size || layout_group_member(l, rank, g, mine) != rank)
            return false;
        firsts += first == rank;
        for (int i = 0; i<size; i += size> 100 ? size / 100 : 1) {
            int member = layout_group_member(l, rank, g, i);
            if (member < 0 || member >= l->world || layout_group_index(l, member, g) != i ||
                member != layout_group_member(l, first, g, i) || (i > 0 && member <= first))
                return false;
        }
    }
    return firsts * size == l->world;
}

static void test_groups(const struct layout *l, const char *what)
{
    static const char *const name[GROUPS] = {"TP", "DP", "KVDP", "EP", "ETP", "EDP", "world"};
    for (int g = 0; g < GROUPS; g++)
        ok(groups_agree(l, (enum group_id)g), "%s: groups %s of %d", what, name[g],
           layout_group_size(l, (enum group_id)g));
}

static void test_coords(const struct layout *l, const char *what)
{
    bool good = true;
    for (int w = 0; w < l->world; w++) {
        struct coords c = layout_coords(l, w);
        good = good && c.d * l->tp + c.t == w && (c.x * l->ep + c.p) * l->etp + c.q == w && c.t < l->tp &&
               c.p < l->ep && c.q < l->etp && c.d < l->dp && c.x < l->edp;
        good = good && layout_group_index(l, w, G_TP) == c.t && layout_group_index(l, w, G_DP) == c.d &&
               layout_group_index(l, w, G_EP) == c.p && layout_group_index(l, w, G_ETP) == c.q &&
               layout_group_index(l, w, G_EDP) == c.x && layout_group_index(l, w, G_WORLD) == w;
    }
    ok(good, "%s: coordinates make the rank, and are its index in its groups", what);
}

static void count_box(int *owners, const int64_t dim[3], const slab *s)
{
    for (int64_t i = 0; i < s->n[0]; i++)
        for (int64_t j = 0; j < s->n[1]; j++)
            for (int64_t k = 0; k < s->n[2]; k++)
                owners[((s->lo[0] + i) * dim[1] + s->lo[1] + j) * dim[2] + s->lo[2] + k]++;
}

/* D4: the replicas split their equal slabs; over the world each element has exactly one owner. */
static bool owned_once(const struct layout *l, const int64_t dim[3], const enum cut by[3])
{
    enum group_id g = layout_replicas(l, by);
    int64_t replicas = layout_group_size(l, g), total = dim[0] * dim[1] * dim[2];
    int *owners = mem_new(total, sizeof *owners);
    bool good = true;
    for (int rank = 0; rank < l->world; rank++) {
        slab box = layout_slab(l, rank, dim, by), boxes[5];
        slab first = layout_slab(l, layout_group_member(l, rank, g, 0), dim, by);
        int64_t size = slab_size(&box), c = ((size + replicas - 1) / replicas + 127) / 128 * 128;
        int64_t lo = layout_group_index(l, rank, g) * c, hi = lo + c < size ? lo + c : size;
        piece mine = {box, lo, hi > lo ? hi - lo : 0};
        good = good && slab_equal(&box, &first);
        for (int i = 0, n = piece_slabs(&mine, boxes); i < n; i++)
            count_box(owners, dim, &boxes[i]);
    }
    for (int64_t i = 0; i < total; i++)
        good = good && owners[i] == 1;
    free(owners);
    return good;
}

static void test_owners(const struct layout *l, const char *what)
{
    static const struct {
        const char *name;
        int64_t dim[3];
        enum cut by[3];
    } tensor[] = {
        {"norm", {1, 1, 960}, {WHOLE, WHOLE, WHOLE}},
        {"embedding", {1, 1003, 96}, {WHOLE, BY_TP, WHOLE}},
        {"query", {1, 960, 41}, {WHOLE, BY_TP, WHOLE}},
        {"key", {1, 240, 41}, {WHOLE, BY_KV, WHOLE}},
        {"output", {1, 37, 960}, {WHOLE, WHOLE, BY_TP}},
        {"experts' gate and up", {400, 37, 11}, {BY_EP, BY_ETP, WHOLE}},
        {"experts' down", {200, 11, 37}, {BY_EP, WHOLE, BY_ETP}},
    };
    for (size_t i = 0; i < sizeof tensor / sizeof *tensor; i++)
        ok(owned_once(l, tensor[i].dim, tensor[i].by), "%s: each element of %s has one owner", what,
           tensor[i].name);
}

static void test_replicas(void)
{
    struct layout plain = must(8, 2, 4, 1, (struct layout_needs){8, 4, 8});
    struct layout copied = must(8, 8, 4, 2, (struct layout_needs){8, 2, 8});
    const enum cut kv[3] = {WHOLE, BY_KV, WHOLE}, experts[3] = {BY_EP, WHOLE, BY_ETP};
    ok(plain.kv == 2 && layout_replicas(&plain, kv) == G_DP, "KV heads cut by TP are summed over DP");
    ok(copied.kv == 2 && layout_replicas(&copied, kv) == G_KVDP && layout_group_size(&copied, G_KVDP) == 4,
       "copied KV heads are summed over DP x copies");
    ok(layout_replicas(&copied, experts) == G_EDP && layout_group_size(&copied, G_EDP) == 1,
       "experts are summed over EDP");
}

/* Fails, and the message holds both texts. */
static void test_message(int world, int tp, int ep, int etp, struct layout_needs needs, const char *what,
                         const char *advice)
{
    struct layout l;
    char *text = layout_make(&l, world, tp, ep, etp, &needs);
    ok(text && strstr(text, what) && strstr(text, advice), "%s", text ? text : "(no message)");
    free(text);
}

static void test_messages(void)
{
    struct layout_needs smol = {9, 3, 4}, llama = {32, 8, 8};
    test_message(4, 2, 4, 1, smol, "tensor 2 does not divide 9 heads", "parallel.tensor 1");
    test_message(6, 3, 4, 1, smol, "expert 4 x expert_tensor 1 does not divide 6 ranks",
                 "parallel.expert 1, 2");
    test_message(10, 4, 1, 1, llama, "tensor 4 does not divide 10 ranks", "parallel.tensor 1, 2");
    test_message(12, 6, 4, 1, (struct layout_needs){12, 4, 4},
                 "neither divides nor is a multiple of 4 KV heads", "parallel.tensor 1, 2, 4, 12");
    test_message(16, 1, 16, 1, llama, "expert 16 does not divide 8 experts", "parallel.expert 1, 2, 4, 8");
    test_message(16, 1, 4, 3, llama, "expert 4 x expert_tensor 3 does not divide 16 ranks",
                 "parallel.expert_tensor 1, 2, 4");
    test_message(7, 2, 2, 1, llama, "tensor 2 does not divide 7 ranks", "no single change would fit");
    test_message(4, 0, 1, 1, llama, "parallel.tensor 0", "at least 1");
}

static void test_source(void)
{
    struct layout l = must(12, 12, 4, 3, (struct layout_needs){12, 4, 8});
    struct layout s = layout_for_source(&l, &(struct layout_needs){9, 3, 0});
    ok(s.tp == 3 && s.dp == 4 && s.ep == 1 && s.etp == 1 && s.edp == 12 && s.kv == 3,
       "source with 9 heads beside TP 12 runs at TP 3");
    s = layout_for_source(&l, &(struct layout_needs){12, 4, 6});
    ok(s.tp == 12 && s.kv == 4 && s.ep == 2 && s.edp == 6, "source with 6 experts beside EP 4 runs at EP 2");
}

static void test_shares(void)
{
    bool good = true;
    for (int tp = 1; tp <= 8; tp *= 2) {
        struct layout l = must(24, tp, 1, 1, (struct layout_needs){8, 8, 0});
        for (int64_t n = 0; n < 50; n++) {
            int64_t next = 0, most = 0;
            for (int t = 0; t < tp; t++) {
                struct range r = layout_tokens(&l, n, t);
                good = good && r.n >= 0 && (r.n == 0 || r.lo == next) &&
                       (r.n == 0 || r.lo % ((n + tp - 1) / tp) == 0);
                next += r.n;
            }
            good = good && next == n;
            for (int d = 0; d < l.dp; d++) {
                struct range r = layout_micros(&l, n, d);
                most = r.n > most ? r.n : most;
            }
            good = good && most == layout_rounds(&l, n);
        }
    }
    ok(good, "tokens are cut in rank order, dead rows last; rounds are the most micro-batches of a rank");
}

int main(void)
{
    static const struct {
        const char *name;
        int world, tp, ep, etp;
        struct layout_needs needs;
    } at[] = {
        {"1 rank", 1, 1, 1, 1, {960, 240, 200}},
        {"6 ranks", 6, 3, 2, 3, {9, 3, 200}},
        {"8 ranks", 8, 8, 2, 2, {8, 2, 200}},
        {"10,000 ranks", 10000, 8, 25, 2, {40, 4, 200}},
    };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        struct layout l = must(at[i].world, at[i].tp, at[i].ep, at[i].etp, at[i].needs);
        test_coords(&l, at[i].name);
        test_groups(&l, at[i].name);
        test_owners(&l, at[i].name);
    }
    test_replicas();
    test_messages();
    test_source();
    test_shares();
    return tap_done();
}
