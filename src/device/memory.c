/* Device memory: blocks, transfers, and the modes that watch them.
 *
 * In both check modes a fresh block is NaN and lies between two protected pages. In the hidden mode the block
 * itself is protected too, unless an op, a transfer or a link is at work. So a host that uses device memory
 * as its own is stopped at once, as on a GPU. This works only for devices whose memory is the host's. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "base/mem.h"
#include "device/ops.h"

enum { PAGE = 4096 };

/* [protected page | slack, block | protected page]. The block ends where the last page begins, up to its
 * alignment. */
struct block {
    char *at; /* what dev_alloc returned */
    int64_t bytes;
    char *base; /* the first page */
    int64_t pages;
    const char *what; /* "store", "arena", ... */
    dev_tell *tell;   /* says what a byte of it belongs to; may be NULL */
    const void *owner;
    struct block *next;
};

static const struct dev *watched; /* the device whose faults are reported, one in a process */

/* ---- a fault ---- */

static const struct block *block_at(const struct dev *dev, const char *address)
{
    for (const struct block *b = dev ? dev->blocks : NULL; b; b = b->next)
        if (address >= b->base && address < b->base + b->pages * PAGE)
            return b;
    return NULL;
}

static NORETURN void tell_fault(const struct block *b, int64_t at)
{
    char text[128] = "";
    if (b->tell && at >= 0 && at < b->bytes)
        b->tell(b->owner, at, text);
    if (watched->running)
        bug("%s: touches byte %lld of %s, which has %lld", watched->running, (long long)at, b->what,
            (long long)b->bytes);
    bug("the host touches device memory outside ops, copies and links: byte %lld of %s%s%s, after op %s",
        (long long)at, b->what, *text ? ", " : "", text, watched->last ? watched->last : "none");
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    const struct block *b = block_at(watched, info->si_addr);
    if (b)
        tell_fault(b, (char *)info->si_addr - b->at);
    signal(number, SIG_DFL); /* the instruction runs again and ends the process */
}

void memory_watch(const struct dev *dev)
{
    struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    watched = dev;
    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGBUS, &a, NULL);
}

void memory_unwatch(const struct dev *dev)
{
    if (watched == dev)
        watched = NULL;
}

/* ---- hiding ---- */

static void protect(char *at, int64_t pages, int how)
{
    if (mprotect(at, (size_t)(pages * PAGE), how) != 0)
        bug("device.check: cannot protect %lld pages of memory", (long long)pages);
}

static void protect_block(const struct block *b, int how)
{
    protect(b->base + PAGE, b->pages - 2, how);
}

void dev_show(struct dev *dev)
{
    if (dev->check != CHECK_HIDDEN || dev->shown++ > 0)
        return;
    for (const struct block *b = dev->blocks; b; b = b->next)
        protect_block(b, PROT_READ | PROT_WRITE);
}

void dev_hide(struct dev *dev)
{
    if (dev->check != CHECK_HIDDEN || --dev->shown > 0)
        return;
    for (const struct block *b = dev->blocks; b; b = b->next)
        protect_block(b, PROT_NONE);
}

/* ---- blocks ---- */

static status watched_alloc(struct dev *dev, const char *what, void **out, int64_t bytes,
                            enum dev_fresh fresh)
{
    int64_t align = dev->ops->align, room = mem_add(bytes, align - 1) / align * align,
            pages = (room + PAGE - 1) / PAGE + 2;
    void *base;
    TRY(dev->ops->alloc(dev, &base, pages * PAGE, fresh));
    struct block *b = mem_new(1, sizeof *b);
    *b = (struct block){.bytes = bytes, .base = base, .pages = pages, .what = what, .next = dev->blocks};
    b->at = b->base + (pages - 1) * PAGE - room;
    protect(b->base, 1, PROT_NONE);
    protect(b->base + (pages - 1) * PAGE, 1, PROT_NONE);
    if (fresh == FRESH_ANY)
        poison(b->base + PAGE, (pages - 2) * PAGE);
    if (dev->check == CHECK_HIDDEN && dev->shown == 0)
        protect_block(b, PROT_NONE);
    dev->blocks = b;
    *out = b->at;
    return OK;
}

/* Unlink and free a block; false if it is not in the list. */
static bool watched_free(struct dev *dev, const char *at)
{
    struct block **link = &dev->blocks;
    while (*link && (*link)->at != at)
        link = &(*link)->next;
    struct block *b = *link;
    if (!b)
        return false;
    *link = b->next;
    dev->ops->free(dev, b->base, b->pages * PAGE);
    free(b);
    return true;
}

bool memory_watched(const struct dev *dev)
{
    return dev->check != CHECK_NONE && dev->ops->host_memory;
}

status dev_alloc(struct dev *dev, const char *what, void **out, int64_t bytes, enum dev_fresh fresh)
{
    if (bytes <= 0)
        bug("dev_alloc: %lld bytes for %s", (long long)bytes, what);
    return memory_watched(dev) ? watched_alloc(dev, what, out, bytes, fresh)
                               : dev->ops->alloc(dev, out, bytes, fresh);
}

void dev_free(struct dev *dev, void *p, int64_t bytes)
{
    if (p && !(memory_watched(dev) && watched_free(dev, p)))
        dev->ops->free(dev, p, bytes);
}

void dev_describe(struct dev *dev, const void *p, dev_tell *tell, const void *owner)
{
    for (struct block *b = dev->blocks; b; b = b->next)
        if (b->at == p) {
            b->tell = tell;
            b->owner = owner;
        }
}

bool dev_host_memory(const struct dev *dev)
{
    return dev->ops->host_memory && dev->check != CHECK_HIDDEN;
}

bool dev_can_show(const struct dev *dev)
{
    return dev->ops->host_memory || dev->null;
}

void dev_poison(struct dev *dev, void *p, int64_t bytes)
{
    if (!memory_watched(dev) || dev->dry || !p)
        return;
    dev_show(dev);
    poison(p, bytes);
    dev_hide(dev);
}

/* ---- transfers ---- */

/** The bytes of a view to copy to or from the host; 0 if there is nothing to do. */
static int64_t transfer_bytes(const struct dev *dev, const char *what, view v)
{
    char text[96];
    if (!view_contiguous(v))
        bug("%s: %s is not contiguous", what, view_text(text, v));
    return dev->dry ? 0 : mem_mul(view_size(v), dtype_size(v.type));
}

void dev_upload(struct dev *dev, view dst, const void *src)
{
    int64_t bytes = transfer_bytes(dev, "dev_upload", dst);
    if (bytes == 0)
        return;
    dev_show(dev);
    dev->ops->upload(dev, dst.data, src, bytes);
    dev_hide(dev);
}

void dev_download(struct dev *dev, void *dst, view src)
{
    int64_t bytes = transfer_bytes(dev, "dev_download", src);
    if (bytes == 0)
        return;
    dev->waits++;
    dev_show(dev);
    dev->ops->download(dev, dst, src.data, bytes);
    dev_hide(dev);
}

void *dev_host_alloc(struct dev *dev, int64_t bytes)
{
    return dev->ops->host_alloc(dev, bytes);
}

void dev_host_free(struct dev *dev, void *p)
{
    dev->ops->host_free(dev, p);
}

struct copy {
    struct dev *dev;
    void (*move)(struct dev *, void *dst, const void *src, int64_t bytes);
    void *dst;
    const void *src;
    int64_t bytes;
};

static void run_copy(void *with)
{
    struct copy *c = with;
    dev_show(c->dev);
    c->move(c->dev, c->dst, c->src, c->bytes);
    dev_hide(c->dev);
    free(c);
}

static ticket copy_async(struct copy copy)
{
    if (copy.bytes > 0) {
        struct copy *c = mem_new(1, sizeof *c);
        *c = copy;
        dev_queue(copy.dev, COPIES, run_copy, c);
    }
    return dev_mark(copy.dev, COPIES);
}

ticket dev_upload_async(struct dev *dev, view dst, const void *src)
{
    int64_t bytes = transfer_bytes(dev, "dev_upload_async", dst);
    return copy_async((struct copy){dev, dev->ops->upload_async, dst.data, src, bytes});
}

ticket dev_download_async(struct dev *dev, void *dst, view src)
{
    int64_t bytes = transfer_bytes(dev, "dev_download_async", src);
    return copy_async((struct copy){dev, dev->ops->download_async, dst, src.data, bytes});
}

int64_t dev_waits(const struct dev *dev)
{
    return dev->waits;
}
