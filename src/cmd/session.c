#include "cmd/session.h"

#include <stdlib.h>
#include <string.h>
#include "base/host.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/once.h"
#include "start/tokenizers.h"

/* ---- deck, shapes, layout ---- */

struct deck_ask {
    struct session *s;
    bool trains;
};

/* For comm_once. Read the deck. Rank 0 also checks all that the deck names; the other ranks only read it. */
static status read_deck(void *with)
{
    const struct deck_ask *for_whom = with;
    struct session *s = for_whom->s;
    const struct options *o = &s->options;
    bool trains = for_whom->trains;
    if (o->n_files == 0)
        return fail(E_DECK, "no deck given: coppice train DECK.yaml (coppice deck new writes one)");
    deck_init(&s->deck);
    s->opened_deck = true;
    status read = deck_read(&s->deck, o->n_files, o->files, o->n_set, o->set);
    const char *dir = s->deck.run.dir;
    const struct start_ask ask = {.ranks = comm_size(s->comm),
                                  .folder = !trains     ? NULL
                                            : o->branch ? o->branch
                                                        : dir,
                                  .trunk = o->branch ? dir : NULL,
                                  .fresh = o->fresh};
    if (s->rank == 0)
        return start_check(&s->deck, read, &ask);
    TRY(read);
    return deck_check(&s->deck);
}

static status make_layout(struct session *s)
{
    const struct parallel_section *p = &s->deck.parallel;
    struct layout_needs needs = config_needs(&s->shapes.target);
    char *why = layout_make(&s->layout, comm_size(s->comm), (int)p->tensor, (int)p->expert,
                            (int)p->expert_tensor, &needs);
    if (!why)
        return OK;
    status code = fail(E_DECK, "%s", why);
    free(why);
    return deck_place(&s->deck, code, "parallel.tensor");
}

/* E_DECK with the first line that differs between two ranks. */
static status differs(const struct session *s, const char *mine, const char *first)
{
    size_t n = strcspn(mine, "\n"), m = strcspn(first, "\n");
    while (n == m && !strncmp(mine, first, n) && mine[n] && first[m]) {
        mine += n + 1;
        first += m + 1;
        n = strcspn(mine, "\n");
        m = strcspn(first, "\n");
    }
    return fail(E_DECK, "rank %d reads another deck than rank 0: \"%.*s\" where rank 0 has \"%.*s\"", s->rank,
                (int)n, mine, (int)m, first);
}

/* Check that all ranks have the same deck. COLLECTIVE. */
static status same_deck(const struct session *s)
{
    char *mine = deck_resolved(&s->deck);
    int64_t bytes = (int64_t)strlen(mine) + 1;
    comm_bcast(s->comm, &bytes, sizeof bytes, 0);
    char *first = s->rank == 0 ? mem_text(mine) : mem_new(bytes, 1);
    comm_bcast(s->comm, first, bytes, 0);
    status code = strcmp(mine, first) != 0 ? differs(s, mine, first) : OK;
    free(first);
    free(mine);
    return comm_agree(s->comm, code);
}

/* The deck is compared between ranks, because a launcher may pass different arguments. What it names is read
 * once, so that nodes cannot see different files under one name. */
status session_open_deck(struct session *s, int argc, char **argv, bool trains)
{
    *s = (struct session){0};
    TRY(comm_open(&s->comm));
    s->rank = comm_rank(s->comm);
    log_open(s->rank == 0, false);
    TRY(comm_agree(s->comm, options_parse(&s->options, argc, argv)));
    log_open(s->rank == 0, s->options.quiet);
    struct deck_ask ask = {s, trains};
    TRY(comm_once(s->comm, read_deck, &ask));
    return same_deck(s);
}

status session_open_shapes(struct session *s, status (*shape)(void *with), void *with)
{
    TRY(comm_once(s->comm, shape, with));
    return comm_agree(s->comm, make_layout(s));
}

/* For comm_once. */
static status read_shapes(void *with)
{
    struct session *s = with;
    return shapes_read(&s->shapes, &s->deck);
}

status session_open(struct session *s, int argc, char **argv)
{
    TRY(session_open_deck(s, argc, argv, false));
    return session_open_shapes(s, read_shapes, s);
}

/* ---- device and groups ---- */

static status open_device(struct dev **dev, const struct comm *comm, const struct device_section *d,
                          double cores)
{
    int64_t threads = d->threads > 0 ? d->threads : getenv("OMP_NUM_THREADS") ? 0 : host_threads(cores);
    struct dev_options options = {.threads = (int)threads,
                                  .transport = d->transport,
                                  .any_order = !d->deterministic,
                                  .check = d->check};
    return dev_open(dev, choice_name(device_types, d->type), comm_node_rank(comm), &options);
}

/* The cores of all ranks into all [ranks]; returns this rank's share. COLLECTIVE. */
static double share_cores(struct comm *comm, struct host_cores *all)
{
    host_cores(&all[comm_rank(comm)]);
    comm_all_gather(comm, all, &all[comm_rank(comm)], sizeof *all);
    return host_cores_share(all, comm_nodes(comm), comm_size(comm), comm_rank(comm));
}

status session_device(struct dev **dev, struct comm *comm, const struct device_section *d)
{
    struct host_cores *all = mem_new(comm_size(comm), sizeof *all);
    status code = comm_agree(comm, open_device(dev, comm, d, share_cores(comm, all)));
    free(all);
    return code;
}

/* For comm_once. */
static status open_data(void *with)
{
    struct session *s = with;
    return deck_place(&s->deck,
                      data_open(&s->data, &s->deck.data, (uint64_t)s->deck.run.seed, s->shapes.target.vocab),
                      NULL);
}

/* Each rank looks at its share of the ids. */
static status look_at_data(struct session *s)
{
    return deck_place(&s->deck, data_check(s->data, s->rank, comm_size(s->comm), START_LOOK, &s->looked),
                      NULL);
}

/* Compare the cores of all ranks: before the device opens, for its threads; and after that, for a warning. */
static status open_threads(struct session *s, struct host_cores *all, int *threads)
{
    int n = comm_size(s->comm), mine;
    s->cores = share_cores(s->comm, all);
    TRY(comm_agree(s->comm, open_device(&s->dev, s->comm, &s->deck.device, s->cores)));
    mine = dev_threads(s->dev);
    comm_all_gather(s->comm, threads, &mine, sizeof mine);
    s->crowded = host_is_crowded(all, comm_nodes(s->comm), threads, n, s->rank);
    return OK;
}

static status open_devices(struct session *s)
{
    int n = comm_size(s->comm), *threads = mem_new(n, sizeof *threads);
    struct host_cores *all = mem_new(n, sizeof *all);
    status code = open_threads(s, all, threads);
    free(all);
    free(threads);
    return code;
}

static status open_groups(struct session *s)
{
    TRY(open_devices(s));
    s->opened_groups = true;
    return groups_open(s->group, s->comm, s->dev, &s->layout);
}

status session_open_device(struct session *s)
{
    TRY(comm_once(s->comm, open_data, s));
    TRY(comm_agree(s->comm, look_at_data(s)));
    comm_sum_i64(s->comm, &s->looked, 1);
    if (s->rank == 0)
        start_compare_tokenizers(&s->deck, &s->shapes.target);
    return open_groups(s);
}

/* ---- weights ---- */

struct opened session_opened(const struct session *s)
{
    return (struct opened){.comm = s->comm,
                           .dev = s->dev,
                           .rank = s->rank,
                           .layout = &s->layout,
                           .deck = &s->deck,
                           .shapes = &s->shapes,
                           .data = s->data};
}

dtype session_precision(const struct session *s)
{
    return s->deck.device.precision;
}

status session_open_store(struct session *s, bool training)
{
    model_open_stored(&s->model, &s->shapes.target, &s->layout, session_precision(s));
    s->opened_model = s->opened_store = true;
    return comm_agree(s->comm, store_open(&s->store, &s->model, &s->layout, s->rank, s->dev, training));
}

/* For comm_once. */
static status make_plan(void *with)
{
    struct session *s = with;
    return shapes_plan(&s->shapes, &s->deck, &s->model, &s->plan);
}

status session_fill(struct session *s, int64_t *bytes)
{
    int64_t read = 0;
    s->opened_plan = true;
    TRY(comm_once(s->comm, make_plan, s));
    TRY(deck_place(&s->deck, weights_fill(&s->store, s->comm, &s->plan, &read), NULL));
    if (bytes)
        *bytes = read;
    return OK;
}

status session_open_net(struct session *s, bool training)
{
    const struct batch_section *b = &s->deck.batch;
    struct net_shape shape = {.sequence = s->deck.data.sequence,
                              .micro = b->micro,
                              .imbalance = s->deck.model.moe.imbalance,
                              .training = training,
                              .documents = s->data && data_has_begins(s->data),
                              .seed = (uint64_t)s->deck.run.seed,
                              .activation = session_precision(s),
                              .recompute = s->deck.device.recompute,
                              .overlap_gradients = s->deck.parallel.overlap_gradients,
                              .overlap_weights = s->deck.parallel.overlap_weights};
    once_forget();
    return comm_agree(s->comm, net_open(&s->net, &s->store, s->group, &shape));
}

/* ---- a model by itself ---- */

/* For comm_once. */
static status read_model(void *with)
{
    struct session *s = with;
    const struct options *o = &s->options;
    deck_init(&s->deck);
    s->opened_deck = true;
    if (o->n_files != 1)
        return fail(E_DECK, "give one model: a Hugging Face directory, a checkpoint or a run folder");
    TRY(deck_read(&s->deck, 0, NULL, o->n_set, o->set));
    return shapes_model(&s->shapes, o->files[0], &s->deck);
}

status session_open_model(struct session *s, int argc, char **argv)
{
    *s = (struct session){0};
    TRY(comm_open(&s->comm));
    s->rank = comm_rank(s->comm);
    log_open(s->rank == 0, false);
    TRY(comm_agree(s->comm, options_parse(&s->options, argc, argv)));
    log_open(s->rank == 0, s->options.quiet);
    TRY(session_open_shapes(s, read_model, s));
    TRY(open_groups(s));
    TRY(session_open_store(s, false));
    return session_fill(s, NULL);
}

status session_open_tokenizer(struct session *s)
{
    const char *folder = s->shapes.checkpoint ? s->shapes.target.carried.folder : s->shapes.dir;
    const char *path = s->options.tokenizer ? s->options.tokenizer : folder;
    if (!*path)
        return fail(E_DECK, "the checkpoint names no folder with a tokenizer; give --tokenizer PATH");
    return start_tokenizer(&s->tokenizer, path, &s->shapes.target);
}

int session_close(struct session *s, status code)
{
    if (code != OK && s->rank == 0 && *status_text())
        log_error(status_text());
    once_forget();
    net_close(s->net);
    if (s->opened_store)
        store_close(&s->store);
    if (s->opened_plan)
        plan_free(&s->plan);
    if (s->opened_model)
        model_close(&s->model);
    if (s->opened_groups)
        groups_close(s->group);
    if (s->dev)
        dev_close(s->dev);
    if (s->data)
        data_close(s->data);
    tokenizer_close(s->tokenizer);
    shapes_free(&s->shapes);
    if (s->opened_deck)
        deck_free(&s->deck);
    options_free(&s->options);
    if (s->comm)
        comm_close(s->comm);
    return code;
}
