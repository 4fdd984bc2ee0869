/* A session: everything that train and probe have open, in order (comm, deck, shapes, layout, device,
 * groups, table, store, weights, net, data), closed in reverse. COLLECTIVE. Each step does its local
 * work, agrees, and only then goes on: an error on one rank ends all with one message. */
#ifndef CMD_SESSION_H
#define CMD_SESSION_H
#include "cmd/options.h"
#include "start/check.h"
#include "start/origin.h"
#include "comm/group.h"
#include "data/data.h"
#include "model/net.h"
#include "weights/fill.h"

struct session {
    struct options options;
    struct comm *comm;
    struct deck deck;
    struct shapes shapes;
    struct layout layout;
    struct dev *dev;
    struct group *group[GROUPS];
    struct model model;
    struct store store;
    struct fill_plan plan;
    struct net *net;
    struct data *data;
    int64_t looked; /* tokens whose ids were looked at when data opened, by all ranks */
    bool opened_deck, opened_groups, opened_model, opened_store, opened_plan;
    int rank;
    double cores; /* this rank's share of its node's, see host_cores_share */
    bool crowded; /* fewer cores than threads, see host_is_crowded */
};

/** comm, options, deck. Rank 0 finds everything that would be refused later (start_check), with the run
 * folder if the command trains. */
status session_open_deck(struct session *, int argc, char **argv, bool trains) MUST_USE;
/** Layout, after this rank's s->shapes were set with the outcome `shaped`. */
status session_open_shapes(struct session *, status shaped) MUST_USE;
/** comm, options, deck, shapes as the deck says, layout. */
status session_open(struct session *, int argc, char **argv) MUST_USE;
/** data, device, groups. */
status session_open_device(struct session *) MUST_USE;
/** The device alone, with this rank's share of the cores. COLLECTIVE. */
status session_device(struct dev **, struct comm *, const struct device_section *) MUST_USE;
/** What src/start needs of it. */
struct opened session_opened(const struct session *);
/** Stored type of matrices and activations: device.precision. */
dtype session_precision(const struct session *);
/** table and store of the target (training or weights only). */
status session_open_store(struct session *, bool training) MUST_USE;
/** Read plan and weights of the target. *bytes: read by this rank, may be NULL. */
status session_fill(struct session *, int64_t *bytes) MUST_USE;
/** Activations of the target: micro-batches of m of M sequences. */
status session_open_net(struct session *, bool training) MUST_USE;
/** Close all; prints the error if there is one (rank 0). Returns the exit code. */
int session_close(struct session *, status);

#endif
