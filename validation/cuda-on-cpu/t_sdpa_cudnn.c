/* Does the installed cuDNN take our graphs of attention for an H100? It needs no GPU for that, but a
 * libcuda.so.1 that can be loaded, such as the toolkit's stub: a description of the card stands for the card.
 * Without one its compiled kernels cannot be loaded, which is the last step. t_sdpa_cudnn H100.json [--one]
 * TAP; --one: one shape, with and without first keys */
#include <stdlib.h>
#include <string.h>
#include "device/cuda/sdpa.h"
#include "unit/tap.h"

static cudnnBackendDescriptor_t card_of(const struct cudnn *cudnn, const char *path)
{
    static char json[8192];
    cudnnBackendDescriptor_t card = NULL;
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(json, 1, sizeof json, f) : 0;
    if (f)
        fclose(f);
    if (n == 0 || cudnn->BackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &card) ||
        cudnn->BackendSetAttribute(card, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                   (int64_t)n, json) ||
        cudnn->BackendFinalize(card))
        return NULL;
    return card;
}

static const struct shape {
    int64_t sequences, seq, heads, kv_heads, head_dim;
    bool taken, bounded;
} shapes[] = {
    {4, 1000, 9, 3, 64, true, false},  {4, 1000, 9, 3, 64, true, true},   {1, 8192, 32, 8, 128, true, false},
    {1, 8192, 32, 8, 128, true, true}, {1, 512, 4, 2, 100, false, false},
};

/* Rows as ours lie: q, k, v columns of one matrix. */
static struct sdpa call_of(const struct shape *s, bool backward, bool deterministic)
{
    struct sdpa a = {.sequences = s->sequences,
                     .seq = s->seq,
                     .heads = s->heads,
                     .kv_heads = s->kv_heads,
                     .head_dim = s->head_dim,
                     .backward = backward,
                     .bounded = s->bounded,
                     .deterministic = deterministic};
    int64_t fused = (s->heads + 2 * s->kv_heads) * s->head_dim;
    for (int t = 1; t < SDPA_TENSORS; t++)
        a.ld[t] = t == SDPA_O || t == SDPA_D_O ? s->heads * s->head_dim : t == SDPA_LSE ? s->heads : fused;
    return a;
}

static void test(const struct cudnn *cudnn, cudnnBackendDescriptor_t card, const struct shape *s,
                 bool backward, bool deterministic)
{
    static struct sdpa_graph g;
    struct sdpa a = call_of(s, backward, deterministic);
    int64_t workspace = 0;
    sdpa_build(&g, cudnn, &a);
    int nodes = g.nodes, wanted = (!backward ? 14 : deterministic ? 23 : 24) + 2 * s->bounded;
    cudnnBackendDescriptor_t plan = *g.why ? NULL : sdpa_plan(&g, NULL, card, &workspace);
    bool taken = g.proposed > 0 && (plan || strstr(g.why, "cuLibraryLoadData"));
    ok(nodes == wanted && taken == s->taken,
       "%s%s%s, %lld x %lld, %lld/%lld heads of %lld: %d nodes, %lld plans: %s",
       backward ? "backward" : "forward", deterministic ? ", deterministic" : "",
       s->bounded ? ", masked" : "", (long long)s->sequences, (long long)s->seq, (long long)s->heads,
       (long long)s->kv_heads, (long long)s->head_dim, nodes, (long long)g.proposed, taken ? "taken" : g.why);
    if (plan)
        cudnn->BackendDestroyDescriptor(plan);
    sdpa_forget(&g);
}

int main(int argc, char **argv)
{
    char why[256];
    const struct cudnn *cudnn = cudnn_open(why);
    if (!cudnn)
        skip_all(why);
    cudnnBackendDescriptor_t card = argc > 1 ? card_of(cudnn, argv[1]) : NULL;
    ok(card != NULL, "cuDNN %zu takes the description of an H100", cudnn->GetVersion());
    size_t count = argc > 2 ? 2 : sizeof shapes / sizeof *shapes;
    for (size_t i = 0; card && i < count; i++)
        for (int kind = 0; kind < 3; kind++)
            test(cudnn, card, &shapes[i], kind > 0, kind == 2);
    return tap_done();
}
