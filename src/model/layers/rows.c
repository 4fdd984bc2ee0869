/* What a pass knows of its rows: made on the host from ids and documents, and uploaded at once. */
#include <string.h>
#include "model/layers/layers.h"

/* Lists of a number a row, [N] each, in the order of the upload. */
enum list { IDS, TARGETS, POSITIONS, FIRSTS, PADDING, WINDOWED, LISTS };

/* Does a window leave out keys of so long a sequence? */
static bool windowed(const struct net *net, int64_t sequence)
{
    return net->config->window > 0 && sequence > net->config->window;
}

/* Which lists a pass has, in dry mode all that one may have. Returns how many. */
static int wanted(const struct net *net, int64_t sequence, bool documents, bool in[LISTS])
{
    int n = 0;
    for (int i = 0; i < LISTS; i++) {
        in[i] = i <= TARGETS || (i == WINDOWED ? windowed(net, sequence) : documents);
        n += in[i];
    }
    return n;
}

int64_t rows_most(const struct net *net)
{
    bool in[LISTS];
    return wanted(net, net->shape.sequence, net->shape.documents, in);
}

/* Positions, first keys and padding of N rows; lists that are not wanted are NULL. A row of padding sees
 * itself alone, and nobody sees it. */
static void fill_masks(struct pass *p, int64_t window, int32_t *const list[LISTS])
{
    const int32_t *begins = p->batch->begins;
    p->real = 0;
    for (int64_t n = 0; n < p->tokens; n++) {
        int64_t at = n % p->sequence, begin = begins ? begins[n] : 0, first = begin < 0 ? at : begin;
        p->real += begin >= 0;
        if (begins) {
            list[POSITIONS][n] = (int32_t)(at - first);
            list[FIRSTS][n] = (int32_t)first;
            list[PADDING][n] = (int32_t)begin;
        }
        if (list[WINDOWED])
            list[WINDOWED][n] = (int32_t)(at - window + 1 > first ? at - window + 1 : first);
    }
}

/* Without targets the ids stand in their place, because nobody reads the loss then. The host's buffer may be
 * written once the upload before this one is done. */
static void send(struct net *net, struct pass *p, view all, const bool in[LISTS])
{
    int32_t *list[LISTS] = {0}, *next = net->host_rows;
    size_t bytes = (size_t)p->tokens * sizeof *next;
    dev_wait_host(net->dev, net->sent);
    for (int i = 0; i < LISTS; i++)
        if (in[i]) {
            list[i] = next;
            next += p->tokens;
        }
    memcpy(list[IDS], p->batch->ids, bytes);
    memcpy(list[TARGETS], p->batch->targets ? p->batch->targets : p->batch->ids, bytes);
    if (in[FIRSTS] || in[WINDOWED])
        fill_masks(p, net->config->window, list);
    dev_wait(net->dev, COPIES, dev_mark(net->dev, COMPUTE));
    net->sent = dev_upload_async(net->dev, all, net->host_rows);
    dev_wait(net->dev, COMPUTE, net->sent);
}

void rows_begin(struct net *net, struct pass *p)
{
    bool in[LISTS], dry = dev_is_dry(net->dev);
    int n = wanted(net, p->sequence, p->batch->begins || (dry && net->shape.documents), in);
    view all = arena_save(&net->arena, I32, 1, n, p->tokens), list[LISTS]; /* [lists, N] */
    for (int i = 0, row = 0; i < LISTS; i++)
        list[i] = in[i] ? view_reshape(view_rows(all, row++, 1), 1, 1, p->tokens) : view_none();
    p->real = p->tokens;
    if (p->batch->ids && !dry)
        send(net, p, all, in);
    p->ids = list[IDS];
    p->targets = list[TARGETS];
    p->positions = list[POSITIONS];
    p->first[0] = list[FIRSTS];
    p->first[1] = in[WINDOWED] ? list[WINDOWED] : list[FIRSTS];
    p->padding = p->real < p->tokens ? list[PADDING] : view_none();
}
