/* A session is everything that train, probe and upcycle have open: comm, deck, shapes, layout, data, device,
 * groups, table, store, weights, net. They are opened in this order and closed in reverse. COLLECTIVE. Each
 * step does its local work, agrees, and only then goes on, so that an error on one rank ends all ranks with
 * one message. */
#ifndef CMD_SESSION_H
#define CMD_SESSION_H
#include "cmd/options.h"
#include "start/check.h"
#include "start/origin.h"
#include "comm/group.h"
#include "data/data.h"
#include "model/net.h"
#include "text/tokenizer.h"
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
    struct tokenizer *tokenizer;
    int64_t looked; /* tokens whose ids all ranks looked at when the data were opened */
    bool opened_deck, opened_groups, opened_model, opened_store, opened_plan;
    int rank;
    double cores; /* this rank's share of its node's cores, see host_cores_share */
    bool crowded; /* it has fewer cores than threads, see host_is_crowded */
};

/** Open comm, options and deck. Rank 0 finds everything that would be refused later (start_check), also in
 * the run folder if the command trains. */
status session_open_deck(struct session *, int argc, char **argv, bool trains) MUST_USE;
/** Set s->shapes by shape(with), local work that may read files (comm_once), and open the layout. */
status session_open_shapes(struct session *, status (*shape)(void *with), void *with) MUST_USE;
/** Open comm, options, deck, shapes as the deck says, and layout. */
status session_open(struct session *, int argc, char **argv) MUST_USE;
/** Open comm, options, and the model that the only argument names, as it stands, on the layout and device
 * that --set asks for; then device, groups, table, store and weights. */
status session_open_model(struct session *, int argc, char **argv) MUST_USE;
/** Open the tokenizer that --tokenizer names, else the model's. Local. E_DECK if none is known, E_DATA, also
 * if it has more tokens than the model. */
status session_open_tokenizer(struct session *) MUST_USE;
/** Open data, device and groups. */
status session_open_device(struct session *) MUST_USE;
/** The device alone, with this rank's share of the cores. COLLECTIVE. */
status session_device(struct dev **, struct comm *, const struct device_section *) MUST_USE;
/** The part of the session that src/start needs. */
struct opened session_opened(const struct session *);
/** The stored type of matrices and activations by device.precision. */
dtype session_precision(const struct session *);
/** Open the target's table and store, for training or only for weights. */
status session_open_store(struct session *, bool training) MUST_USE;
/** Make the read plan and fill the target's weights. *bytes: read by this rank; may be NULL. */
status session_fill(struct session *, int64_t *bytes) MUST_USE;
/** Open the target's net. */
status session_open_net(struct session *, bool training) MUST_USE;
/** Close all, and print the error if there is one (rank 0). Returns the exit code. */
int session_close(struct session *, status);

#endif
