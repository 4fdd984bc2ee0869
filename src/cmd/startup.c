#include "cmd/startup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "config.h"
#include "base/clock.h"
#include "base/disk.h"
#include "base/host.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "ckpt/ckpt.h"
#include "format/h5.h"
#include "format/hf_ends.h"
#include "train/profile.h"

/* ---- banner and machine ---- */

void startup_banner(const struct session *s, int64_t leg)
{
    char when[32];
    time_t now = time(NULL);
    bool alone = comm_size(s->comm) == 1; /* after Ctrl-C mpirun kills its ranks within seconds */
    strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", gmtime(&now));
    log_say("Coppice %s (%s)   leg %lld   %s   stop: %s, or touch stop in the run folder", PACKAGE_VERSION,
            COPPICE_REVISION, (long long)leg, when, alone ? "Ctrl-C" : "USR1 to the launcher (not Ctrl-C)");
    log_say("run       %s", s->deck.run.dir);
}

/* A rank's line of the map. */
struct place {
    char host[64], cores[64];
    double share;
    int threads;
    bool crowded;
};

/* The places of all ranks. Caller frees. COLLECTIVE. */
static struct place *gather_places(const struct session *s)
{
    struct place mine = {.share = s->cores, .threads = dev_threads(s->dev), .crowded = s->crowded};
    struct place *all = mem_new(comm_size(s->comm), sizeof *all);
    struct host_cores cores;
    host_cores(&cores);
    host_name(mine.host);
    host_cores_text(&cores, mine.cores);
    comm_all_gather(s->comm, all, &mine, sizeof mine);
    return all;
}

static void show_rank(const struct session *s, const struct place *p, int rank)
{
    const struct layout *l = &s->layout;
    struct coords c = layout_coords(l, rank);
    struct range x = block(s->shapes.target.moe.experts, l->ep, c.p);
    char experts[64] = "";
    if (x.n > 0)
        snprintf(experts, sizeof experts, x.n == 1 ? "%lld" : "%lld-%lld", (long long)x.lo,
                 (long long)(x.lo + x.n - 1));
    log_say("          %-10.16s %5d  %-8.20s %7d %4d %6d | %9d %6d %6d  %s", p[rank].host, rank,
            p[rank].cores, p[rank].threads, c.d, c.t, c.x, c.p, c.q, experts);
}

static void show_map(const struct session *s, const struct place *all)
{
    enum { SHOWN = 32 };
    int n = comm_size(s->comm);
    char text[48];
    log_say("layout    dense: data %d x tensor %d   experts: data %d x expert %d x tensor %d   ZeRO-1%s",
            s->layout.dp, s->layout.tp, s->layout.edp, s->layout.ep, s->layout.etp,
            s->layout.tp > 1 ? ", sequence parallel" : "");
    log_say("          %-10s %5s  %-8s %7s %4s %6s | %9s %6s %6s  %s", "node", "rank", "cores", "threads",
            "data", "tensor", "exp. data", "expert", "tensor", "experts");
    for (int r = 0; r < n && r < SHOWN; r++)
        show_rank(s, all, r);
    if (n > SHOWN)
        log_say("          ... and %s more", text_n(text, n - SHOWN, "rank"));
}

static void warn_crowded(const struct session *s, const struct place *all)
{
    int ranks = comm_size(s->comm), crowded = 0, first = 0;
    char threads[48], of[48];
    for (int r = ranks - 1; r >= 0; r--)
        if (all[r].crowded) {
            crowded++;
            first = r;
        }
    if (crowded > 0)
        log_warn("%d of %s have fewer cores than threads: rank %d runs %s on cores %.24s, its share is %.3g",
                 crowded, text_n(of, ranks, "rank"), first, text_n(threads, all[first].threads, "thread"),
                 all[first].cores, all[first].share);
}

/* A token that ends texts and fills up sequences is no target any more. */
static void warn_padding(const struct session *s)
{
    const struct carried *c = &s->shapes.target.carried;
    int32_t end[ENDS_MOST];
    int n;
    if (s->deck.data.pad_id < 0 || hf_ends(c->folder, c->keys, end, &n) != OK)
        return;
    for (int i = 0; i < n; i++)
        if (end[i] == s->deck.data.pad_id)
            log_warn(
                "data.pad_id: %lld also ends texts (eos_token_id): as padding it is no target, so the model "
                "does not learn to end",
                (long long)s->deck.data.pad_id);
}

static void warn_deck(const struct session *s)
{
    char batches[48], ranks[48];
    int64_t micros = s->deck.batch.sequences / s->deck.batch.micro;
    if (micros % s->layout.dp)
        log_warn("%s over %s of data parallelism: some ranks idle in the last round",
                 micros == 1 ? "1 micro-batch" : text_n(batches, micros, "micro-batche"),
                 text_n(ranks, s->layout.dp, "rank"));
    const struct moe *m = &s->shapes.target.moe;
    if (m->experts > 0 && m->aux_coeff == 0 && m->bias_rate == 0)
        log_warn("model.moe.aux_loss_coeff is 0: nothing balances the experts (0.01 is usual)");
    warn_padding(s);
}

static void show_model(const struct session *s)
{
    const struct config *c = &s->shapes.target, *from = &s->shapes.source;
    char shape[96], grown[96], a[32], b[32], active[32];
    config_text(c, shape);
    text_count(b, (double)config_parameters(c));
    text_count(active, (double)config_active_parameters(c));
    text_count(a, (double)config_parameters(from));
    if (!config_same_trunk(c, from))
        log_say("model     dense %s: %s, grown by %s to %s: %s parameters, %s active",
                config_text(from, grown), a, choice_name(grow_methods, s->deck.start.grow.method), shape, b,
                active);
    else if (s->shapes.start == START_UPCYCLE)
        log_say("model     %s %s: %s -> %s parameters, %s active",
                config_moe_layers(from) ? "with more experts" : "dense", shape, a, b, active);
    else
        log_say("model     %s: %s parameters, %s active", shape, b, active);
}

static void show_data(const struct session *s)
{
    const struct deck *d = &s->deck;
    double a_step = (double)d->batch.sequences * (double)d->data.sequence;
    double tokens = d->run.steps ? (double)d->run.steps * a_step : (double)d->run.tokens;
    char *data = data_about(s->data), text[32], all[32];
    log_say("data      %s | %s tokens a step, %.3g epochs", data, text_count(text, a_step),
            data_epochs(s->data, tokens));
    free(data);
    if (s->looked < data_tokens(s->data))
        log_say("          ids: looked at %s of %s tokens, spread over the sets; the others when their "
                "windows come",
                text_count(text, (double)s->looked), text_count(all, (double)data_tokens(s->data)));
    if (data_valid_sets(s->data) && d->eval.tokens < d->data.sequence)
        log_warn(
            "eval.tokens: %lld is less than one window of data.sequence: %lld tokens; one window is used",
            (long long)d->eval.tokens, (long long)d->data.sequence);
}

status startup_machine(const struct session *s, double ceiling)
{
    char free_text[32], nodes_text[48], ranks[48];
    int nodes = 0;
    for (int r = 0; r < comm_size(s->comm); r++)
        nodes = comm_nodes(s->comm)[r] >= nodes ? comm_nodes(s->comm)[r] + 1 : nodes;
    log_say("machine   %s, %s, %s free", text_n(nodes_text, nodes, "node"), dev_about(s->dev),
            text_bytes(free_text, (double)mem_free_bytes()));
    log_say("          %s, HDF5 %s | %s, %s %.0f GFLOP/s in all", comm_about(s->comm), h5_version(),
            text_n(ranks, comm_size(s->comm), "rank"), ceiling_name(session_precision(s)), ceiling);
    struct place *places = gather_places(s);
    show_map(s, places);
    warn_crowded(s, places);
    warn_deck(s);
    free(places);
    show_model(s);
    show_data(s);
    return OK;
}

void startup_disk(const struct session *s)
{
    char each[32], there[32];
    bool quotas;
    double room = s->rank == 0 ? disk_free(s->deck.run.dir, &quotas) : -1;
    if (room >= 0)
        log_say("disk      %s a checkpoint, %lld kept | %s free%s",
                text_bytes(each, (double)ckpt_bytes(&s->model)), (long long)s->deck.checkpoint.keep,
                text_bytes(there, room), quotas ? "" : "; a quota would not be seen here");
}

/* ---- the target ---- */

status startup_fill(struct session *s)
{
    char each[32], all[32], took[32], tensors[48];
    double start = clock_seconds();
    int64_t bytes = 0, sum;
    TRY(session_fill(s, &bytes));
    double seconds = clock_lap(&start);
    sum = bytes;
    comm_sum_i64(s->comm, &sum, 1);
    comm_max_i64(s->comm, &bytes, 1);
    uint64_t hash = comm_sum_u64(s->comm, store_hash(&s->store, MASTER));
    log_say("%s %s | read %s a rank at most, %s in all | sent 0 B | %s | hash %016llx",
            s->shapes.start == START_UPCYCLE ? "upcycle  " : "weights  ",
            text_n(tensors, s->model.n_tensors, "tensor"), text_bytes(each, (double)bytes),
            text_bytes(all, (double)sum), text_time(took, seconds), (unsigned long long)hash);
    return OK;
}

static const char *const theory_name[] = {"none", "approximate", "exact"};

static const char *verdict_of(const struct certificate *c)
{
    return !c->pass ? "FAIL" : c->theory == THEORY_NONE ? "NOT JUDGED" : "PASS";
}

/* A figure over all MoE layers. */
static json_t *figure_json(const struct gains *g, enum figure figure)
{
    struct spread s = gains_spread(g, figure);
    json_t *j = json_object(), *layers = json_array();
    json_object_set_new(j, "min", folder_number(s.min));
    json_object_set_new(j, "mean", folder_number(s.mean));
    json_object_set_new(j, "max", folder_number(s.max));
    for (int i = 0; i < g->n; i++)
        json_array_append_new(layers, folder_number(g->figure[figure][i]));
    json_object_set_new(j, "layers", layers);
    return j;
}

/* Add the outputs of MoE layers, if they can be compared, and what theory expects of them. */
static void add_gains(json_t *j, const struct gains *g)
{
    static const char *const name[FIGURES] = {"gain", "expected_gain", "relative_error", "deviation"};
    double lo, hi;
    for (int i = 0; i < FIGURES && g->n > 0; i++)
        if (g->derived || i == GAIN || i == ERROR)
            json_object_set_new(j, name[i], figure_json(g, i));
    if (g->derived)
        json_object_set_new(j, "deviation_tolerance", folder_number(certificate_deviation));
    if (gains_bounds(g, &lo, &hi))
        json_object_set_new(j, "expected_gain_bounds", json_pack("[ff]", lo, hi));
}

static status write_certificate(const struct session *s, const struct folder *f, const struct certificate *c)
{
    if (s->rank != 0)
        return OK;
    json_t *changes = json_array();
    json_t *j =
        json_pack("{sbsssssIsI}", "pass", c->pass, "verdict", verdict_of(c), "theory", theory_name[c->theory],
                  "tokens", (json_int_t)c->tokens, "sequence", (json_int_t)c->sequence);
    for (int i = 0; i < s->shapes.n_changes; i++)
        json_array_append_new(changes, json_string(s->shapes.changes[i]));
    json_object_set_new(j, "settings_changed", changes);
    add_gains(j, &c->gains);
    json_object_set_new(j, "max_abs_difference", folder_number(c->max_difference));
    json_object_set_new(j, "max_abs_logit", folder_number(c->max_logit));
    json_object_set_new(j, "tolerance", folder_number(c->tolerance));
    json_object_set_new(j, "kl_nats_per_token", folder_number(c->kl));
    return folder_write_json(f, "certificate.json", j);
}

/* Growth and router in words. Caller frees. */
static char *how_made(const struct session *s)
{
    const struct moe *m = &s->shapes.target.moe;
    bool grown = !config_same_trunk(&s->shapes.target, &s->shapes.source);
    const char *method = grown ? choice_name(grow_methods, s->deck.start.grow.method) : "";
    if (m->experts == 0)
        return mem_format("grown by %s", method);
    return mem_format("%s%s%s, granularity %lld", method, grown ? ", " : "",
                      choice_name(router_orders, (int)m->order), (long long)m->granularity);
}

/* "gain 1.083 (1.052 to 1.120 in 30 layers; theory 1 to 4), expected 1.083: off by 3.1e-07 <= 1.0e-04".
 * Caller frees. */
static char *gains_text(const struct certificate *c)
{
    const struct gains *g = &c->gains;
    struct spread gain = gains_spread(g, GAIN), off = gains_spread(g, DEVIATION);
    double lo, hi;
    if (g->n == 0 || (c->theory == THEORY_EXACT && c->pass))
        return mem_text("");
    char layers[48], *text = mem_format("gain %.4g (%.4g to %.4g in %s", gain.mean, gain.min, gain.max,
                                        text_n(layers, g->n, "layer"));
    if (gains_bounds(g, &lo, &hi))
        mem_append(&text, "; theory %.4g to %.4g", lo, hi);
    mem_append(&text, ")");
    if (g->derived)
        mem_append(&text, ", expected %.4g: off by %.1e %s %.1e", gains_spread(g, EXPECTED).mean, off.max,
                   off.max <= certificate_deviation ? "<=" : ">", certificate_deviation);
    return text;
}

/* "max|dlogit| 2.1e-05 <= 2.3e-04", with the bar only if the logits must be equal. Caller frees. */
static char *logits_text(const struct certificate *c)
{
    bool equal = c->max_difference <= c->tolerance;
    char *text = mem_format("max|dlogit| %.1e", c->max_difference);
    if (c->theory == THEORY_EXACT)
        mem_append(&text, " %s %.1e", equal ? "<=" : ">", c->tolerance);
    return text;
}

static void show_certificate(const struct session *s, const struct certificate *c)
{
    char tokens[48], *how = how_made(s), *gains = gains_text(c), *logits = logits_text(c);
    log_say("CERTIFICATE %s   %s: %s, KL %.1e   (theory: %s; %s)", verdict_of(c),
            text_n(tokens, c->tokens, "token"), logits, c->kl, theory_name[c->theory], how);
    if (*gains)
        log_say("          %s", gains);
    free(how);
    free(gains);
    free(logits);
}

static status refuse_model(const struct certificate *c)
{
    if (c->theory == THEORY_EXACT && !(c->max_difference <= c->tolerance))
        return fail(E_BUG,
                    "the model's logits differ from the dense model's where theory says they are equal: "
                    "max|dlogit| %.3e > %.3e; nothing was trained; please report this with certificate.json",
                    c->max_difference, c->tolerance);
    return fail(
        E_BUG,
        "what a MoE layer gives differs from what theory derives from the dense model's by %.3e of it "
        "(at most %.1e): nothing was trained; please report this with certificate.json",
        gains_spread(&c->gains, DEVIATION).max, certificate_deviation);
}

status startup_certify(struct session *s, const struct folder *f, struct origin *o)
{
    struct certificate *c = &o->certificate;
    if (!o->certify)
        return OK;
    const struct opened opened = session_opened(s);
    TRY(origin_compare(o, &opened, &s->store, s->group));
    TRY(comm_agree(s->comm, write_certificate(s, f, c)));
    show_certificate(s, c);
    return c->pass ? OK : comm_agree(s->comm, refuse_model(c));
}
