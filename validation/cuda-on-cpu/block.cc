/* A grid: blocks one after another, the threads of a block as fibers on stacks of their own. One warp goes as
 * far as it can, then the next: the most skew that barriers allow. x86-64 and AArch64. */
#include "inside.h"
#include "race.h"
#include "include/cuda_pipeline.h"
#include "include/mma.h"
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <sys/mman.h>

/* Saves the registers that a callee keeps on this stack, and goes on where `load` was saved. */
extern "C" void cuda_on_cpu_switch(void **save, void *load);
#ifdef __x86_64__
enum { SAVED_WORDS = 6 }; /* below the return address */
asm(".text\n.globl cuda_on_cpu_switch\ncuda_on_cpu_switch:\n"
    " push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    " mov %rsp,(%rdi)\n mov %rsi,%rsp\n"
    " pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n");
#elif defined __aarch64__
enum { SAVED_WORDS = 20 }; /* x19 .. x30, d8 .. d15; the return address among them */
asm(".text\n.globl cuda_on_cpu_switch\ncuda_on_cpu_switch:\n"
    " sub sp, sp, #160\n"
    " stp x19, x20, [sp]\n stp x21, x22, [sp, #16]\n stp x23, x24, [sp, #32]\n stp x25, x26, [sp, #48]\n"
    " stp x27, x28, [sp, #64]\n stp x29, x30, [sp, #80]\n stp d8, d9, [sp, #96]\n stp d10, d11, [sp, #112]\n"
    " stp d12, d13, [sp, #128]\n stp d14, d15, [sp, #144]\n"
    " mov x9, sp\n str x9, [x0]\n mov sp, x1\n"
    " ldp x19, x20, [sp]\n ldp x21, x22, [sp, #16]\n ldp x23, x24, [sp, #32]\n ldp x25, x26, [sp, #48]\n"
    " ldp x27, x28, [sp, #64]\n ldp x29, x30, [sp, #80]\n ldp d8, d9, [sp, #96]\n ldp d10, d11, [sp, #112]\n"
    " ldp d12, d13, [sp, #128]\n ldp d14, d15, [sp, #144]\n"
    " add sp, sp, #160\n ret\n");
#else
#    error "CUDA on the CPU needs a switch of stacks for this processor"
#endif

namespace on_cpu
{
thread *self;
dim3 grid_dim, block_dim;

namespace
{
enum { WARP = 32, MOST_THREADS = 1024, STACK = 1 << 16, WATCHED_STACK = 1 << 18 };

/* Where lanes of a warp meet. mask 0: free. */
struct point {
    meet kind;
    unsigned mask, arrived, left;
    const char *where;
    char value[WARP][16];
};
struct fiber {
    thread t; /* first: self points to it */
    void *sp, *context, *stack;
    enum { FRESH, READY, WAITING, DONE } state;
    const char *where;                    /* it waits */
    point *met;                           /* its last meeting */
    std::deque<std::vector<copy>> copies; /* groups of cp.async; the last one is open */
};

std::vector<void *> stacks;                  /* free ones */
std::vector<fiber> fibers(MOST_THREADS);     /* of the block; the first `threads` of them */
std::deque<point> points[MOST_THREADS / 32]; /* of each warp */
void *scheduler, *scheduler_context;
const work *body;
const char *kernel_name = "";
int threads, alive;
long launches, switches;

/* For a race detector the threads of one block are others than those of the next, and those of a stream
 * others than another's. begun, ended: tokens of the launch and of its threads. */
struct crowd {
    std::vector<void *> contexts[2]; /* of even and odd blocks */
    char begun, ended;
};
std::map<void *, crowd> crowds; /* by the stream's context */
crowd *crowd_now;
int odd_block;

fiber *me()
{
    return (fiber *)self;
}

size_t stack_bytes()
{
    return race::watched() ? WATCHED_STACK : STACK;
}

void to_scheduler()
{
    fiber *f = me();
    switches++;
    race::become(scheduler_context);
    cuda_on_cpu_switch(&f->sp, scheduler);
}

void wait(const char *where)
{
    me()->where = where;
    me()->state = fiber::WAITING;
    to_scheduler();
}

/* What a fiber does first, and last. */
void entry()
{
    race::acquire(&crowd_now->begun);
    (*body)();
    if (!me()->copies.empty() && !me()->copies.front().empty())
        die("the thread ends with cp.async copies that nobody waited for");
    race::release(&crowd_now->ended);
    me()->state = fiber::DONE;
    to_scheduler();
}

/* A stack that changes hands would be a race: what the detector knows of it is forgotten by a fresh mapping.
 */
void prepare(fiber *f)
{
    if (race::watched() && f->stack)
        mmap(f->stack, stack_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    else if (!f->stack || !race::watched()) {
        if (stacks.empty())
            stacks.push_back(
                mmap(nullptr, stack_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        f->stack = stacks.back();
        stacks.pop_back();
    }
    void **sp = (void **)((char *)f->stack + stack_bytes()) - 2; /* aligned as after a call */
#ifdef __x86_64__
    *--sp = nullptr; /* nobody to return to */
    *--sp = (void *)entry;
    f->sp = sp - SAVED_WORDS;
#else
    f->sp = sp - SAVED_WORDS;
    ((void **)f->sp)[11] = (void *)entry; /* x30 */
#endif
    auto &contexts = crowd_now->contexts[odd_block];
    size_t i = (size_t)(f - fibers.data());
    while (contexts.size() <= i)
        contexts.push_back(race::new_context());
    f->context = contexts[i];
    f->state = fiber::READY;
}

void run(fiber *f)
{
    if (f->state == fiber::FRESH)
        prepare(f);
    self = &f->t;
    race::become(f->context);
    cuda_on_cpu_switch(&scheduler, f->sp);
    self = nullptr;
    if (f->state == fiber::DONE && !race::watched())
        stacks.push_back(f->stack);
}

/* ---- meetings of a warp ---- */
const char *const meet_text[] = {"shuffle", "ballot", "__syncwarp", "a matrix of"};

/* The lane leaves its last meeting; when all have left it is free. */
void leave(fiber *f)
{
    if (f->met && (f->met->left |= 1u << f->t.lane) == f->met->mask)
        f->met->mask = 0;
    f->met = nullptr;
}

point *point_of(fiber *f, meet kind, unsigned mask, const char *where)
{
    auto &all = points[f->t.warp];
    point *unused = nullptr;
    for (auto &p : all) {
        if (p.mask == mask && p.arrived != mask)
            return &p;
        if (p.mask == 0)
            unused = &p;
    }
    if (!unused) {
        all.emplace_back();
        unused = &all.back();
    }
    *unused = {kind, mask, 0, 0, where, {}};
    return unused;
}

void wake(fiber *f, unsigned mask)
{
    for (int i = 0; i < WARP; i++)
        if (mask >> i & 1 && i != f->t.lane)
            fibers[f->t.warp * WARP + i].state = fiber::READY;
}
} // namespace

values meeting(meet kind, unsigned mask, const void *value, size_t bytes, const char *where,
               void (*last)(values))
{
    race::quiet quiet;
    fiber *f = me();
    if (!(mask >> f->t.lane & 1))
        die("%s: lane %d is not in its own mask %08x", where, f->t.lane, mask);
    leave(f);
    point *p = point_of(f, kind, mask, where);
    if (p->kind != kind)
        die("lanes of a warp diverged: %s at %s, others %s at %s", meet_text[kind], where, meet_text[p->kind],
            p->where);
    if (bytes)
        memcpy(p->value[f->t.lane], value, bytes);
    f->met = p;
    p->arrived |= 1u << f->t.lane;
    bool orders = kind == SYNCWARP; /* no other meeting orders memory */
    if (orders)
        race::release(p);
    if (p->arrived != mask)
        wait(where);
    else {
        if (last)
            last(p->value);
        wake(f, mask);
    }
    if (orders)
        race::acquire(p);
    return p->value;
}

/* ---- the barrier of a block ---- */
namespace
{
const char *barrier_where;
int at_barrier, votes, voted;
unsigned barriers;
char barrier_token[2]; /* this barrier's and the next one's: with one, an arrival would order too much */

void open_barrier()
{
    voted = votes;
    barriers++;
    at_barrier = votes = 0;
    for (int i = 0; i < threads; i++)
        if (fibers[i].state == fiber::WAITING)
            fibers[i].state = fiber::READY;
}
} // namespace

int block_meeting(int predicate, const char *where)
{
    race::quiet quiet;
    char *token = &barrier_token[barriers % 2];
    if (at_barrier && strcmp(barrier_where, where))
        die("threads of a block meet at different barriers: %s and %s", barrier_where, where);
    barrier_where = where;
    votes += predicate;
    race::release(token);
    if (++at_barrier < alive)
        wait(where);
    else
        open_barrier();
    race::acquire(token);
    return voted;
}

/* ---- shared memory: NaN at the start of each block; gaps between arrays are watched ---- */
namespace
{
enum { GAP = 128, ARRAYS = 32, FRESH = 0xff };
struct array {
    const void *key;
    size_t at, bytes;
    const char *name;
};
typedef std::unique_ptr<char[], decltype(&free)> memory;
std::vector<array> arrays;
memory arena(nullptr, free);
std::vector<memory> old_arenas; /* the race detector wants fresh memory for every block */
size_t arena_used, dynamic_bytes;
std::map<const void *, int> dynamic_most;

size_t in_gaps(size_t bytes)
{
    return (bytes + GAP - 1) / GAP * GAP;
}

void new_arena()
{
    static size_t size;
    size_t want = in_gaps(dynamic_bytes) + STATIC_MOST + ARRAYS * 2 * GAP;
    if (race::watched() && arena)
        old_arenas.push_back(std::move(arena));
    if (!arena || size < want) {
        arena.reset((char *)aligned_alloc(GAP, in_gaps(want)));
        size = arena_used = in_gaps(want);
    }
    memset(arena.get(), FRESH, std::min(size, arena_used + GAP));
    arrays.clear();
    arena_used = GAP;
}

void check_gaps()
{
    for (auto &a : arrays) {
        const char *before = arena.get() + a.at - GAP, *after = arena.get() + a.at + a.bytes,
                   *end = arena.get() + a.at + in_gaps(a.bytes) + GAP;
        for (int i = 0; i < GAP; i++)
            if (before[i] != (char)FRESH)
                die("kernel %s wrote before the shared array %s", kernel_name, a.name);
        for (; after < end; after++)
            if (*after != (char)FRESH)
                die("kernel %s wrote behind the shared array %s", kernel_name, a.name);
    }
}
} // namespace

void *shared(const void *key, size_t bytes, const char *name)
{
    race::quiet quiet;
    size_t fixed = key ? bytes : 0;
    for (auto &a : arrays) {
        if (a.key == key)
            return arena.get() + a.at;
        fixed += a.key ? a.bytes : 0;
    }
    if (fixed > STATIC_MOST || fixed + dynamic_bytes > DYNAMIC_MOST || arrays.size() >= ARRAYS)
        die("%zu bytes of static and %zu of dynamic shared memory", fixed, dynamic_bytes);
    bytes = key ? bytes : dynamic_bytes;
    arrays.push_back({key, arena_used, bytes, name});
    arena_used += in_gaps(bytes) + GAP;
    return arena.get() + arrays.back().at;
}

/* ---- cp.async ---- */
void async_copy(void *to, const void *from, size_t bytes, size_t zeros)
{
    race::quiet quiet;
    if ((bytes != 4 && bytes != 8 && bytes != 16) || (uintptr_t)to % bytes || (uintptr_t)from % bytes)
        die("cp.async of %zu bytes from %p to %p", bytes, from, to);
    auto &groups = me()->copies;
    if (groups.empty())
        groups.emplace_back();
    groups.back().push_back({to, from, bytes, zeros});
}

void async_commit()
{
    race::quiet quiet;
    if (me()->copies.empty())
        me()->copies.emplace_back();
    me()->copies.emplace_back();
}

bool async_next(int keep, copy *c)
{
    race::quiet quiet;
    auto &groups = me()->copies;
    while ((int)groups.size() > keep + 1 && groups.front().empty())
        groups.pop_front();
    if ((int)groups.size() <= keep + 1)
        return false;
    *c = groups.front().front();
    groups.front().erase(groups.front().begin());
    return true;
}

/* ---- blocks ---- */
namespace
{
void stuck()
{
    std::map<std::string, int> places;
    std::string text;
    for (int i = 0; i < threads; i++)
        places[fibers[i].state == fiber::DONE ? "its end" : fibers[i].where]++;
    for (auto &p : places)
        text += " " + std::to_string(p.second) + " at " + p.first;
    self = &fibers[0].t;
    die("threads wait for each other:%s", text.c_str());
}

void begin_block(dim3 at)
{
    new_arena();
    odd_block ^= 1;
    race::release(&crowd_now->begun);
    alive = threads;
    at_barrier = votes = 0;
    for (int i = 0; i < threads; i++) {
        fiber &f = fibers[i];
        dim3 index((unsigned)i % block_dim.x, (unsigned)i / block_dim.x % block_dim.y,
                   (unsigned)i / block_dim.x / block_dim.y);
        f.t = {index, at, i % WARP, i / WARP};
        f.state = fiber::FRESH;
        f.met = nullptr;
        f.copies.clear();
    }
    for (auto &p : points)
        p.clear();
}

/* Runs the lanes of a warp once each; true if one could. */
bool step_warp(int warp)
{
    bool moved = false;
    for (int k = 0; k < WARP; k++) {
        int i = warp * WARP + (order() == 1 ? WARP - 1 - k : k);
        if (i >= threads || fibers[i].state > fiber::READY)
            continue;
        run(&fibers[i]);
        moved = true;
        if (fibers[i].state == fiber::DONE && --alive > 0 && at_barrier == alive)
            open_barrier();
    }
    return moved;
}

void run_block(dim3 at, const std::vector<int> &warps)
{
    begin_block(at);
    while (alive > 0) {
        bool moved = false;
        for (int w : warps)
            while (step_warp(w))
                moved = true;
        if (!moved)
            stuck();
    }
    check_gaps();
}

void run_grid(dim3 grid, dim3 block, size_t shared_bytes, const work &one_thread, const char *name)
{
    race::quiet quiet;
    launches++;
    kernel_name = name;
    grid_dim = grid;
    block_dim = block;
    dynamic_bytes = shared_bytes;
    body = &one_thread;
    threads = (int)(block.x * block.y * block.z);
    scheduler_context = race::my_context();
    crowd_now = &crowds[scheduler_context];
    auto warps = order_of((threads + WARP - 1) / WARP), blocks = order_of((int)(grid.x * grid.y * grid.z));
    for (int b : blocks)
        run_block(dim3((unsigned)b % grid.x, (unsigned)b / grid.x % grid.y, (unsigned)b / grid.x / grid.y),
                  warps);
    race::acquire(&crowd_now->ended);
    old_arenas.clear();
}
} // namespace

void launch(const void *kernel, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t s, work one_thread,
            const char *name)
{
    size_t n = (size_t)block.x * block.y * block.z, blocks = (size_t)grid.x * grid.y * grid.z;
    if (n == 0 || n > MOST_THREADS || blocks == 0 || grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535)
        die("launch of %s: grid %u,%u,%u, block %u,%u,%u", name, grid.x, grid.y, grid.z, block.x, block.y,
            block.z);
    if (shared_bytes > DYNAMIC_MOST ||
        (shared_bytes > STATIC_MOST && shared_bytes > (size_t)dynamic_most[kernel]))
        die("launch of %s: %zu bytes of shared memory, which cudaFuncSetAttribute did not allow", name,
            shared_bytes);
    enqueue(
        s, [=] { run_grid(grid, block, shared_bytes, one_thread, name); }, name);
}

void allow_dynamic(const void *kernel, int bytes)
{
    dynamic_most[kernel] = bytes;
}

void count(long *launched, long *switched)
{
    *launched = launches;
    *switched = switches;
}

void tell_thread(char *out, size_t room)
{
    *out = '\0';
    if (self)
        snprintf(out, room, " [kernel %s, block %u,%u,%u, thread %u,%u,%u]", kernel_name, self->block.x,
                 self->block.y, self->block.z, self->index.x, self->index.y, self->index.z);
}
} // namespace on_cpu

/* ---- matrices of a warp ---- */
namespace nvcuda
{
namespace wmma
{
namespace
{
struct lane_fragments {
    float *d;
    const __nv_bfloat16 *a, *b;
    const float *c;
};

lane_fragments fragments_of(on_cpu::values v, int lane)
{
    lane_fragments f;
    memcpy(&f, *(void *const *)(const void *)v[lane], sizeof f);
    return f;
}

void multiply_all(on_cpu::values v)
{
    alignas(64) float a[256], b[256], d[256];
    for (int l = 0; l < 32; l++) {
        lane_fragments f = fragments_of(v, l);
        for (int i = 0; i < 8; i++) {
            int at = place(l, i);
            a[at] = __bfloat162float(f.a[i]);
            b[at] = __bfloat162float(f.b[i]);
            d[at] = f.c[i];
        }
    }
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 16; k++)
            for (int j = 0; j < 16; j++)
                d[i * 16 + j] += a[i * 16 + k] * b[k * 16 + j];
    for (int l = 0; l < 32; l++) {
        lane_fragments f = fragments_of(v, l);
        for (int i = 0; i < 8; i++)
            f.d[i] = d[place(l, i)];
    }
}
} // namespace

void multiply(float *d, const __nv_bfloat16 *a, const __nv_bfloat16 *b, const float *c)
{
    lane_fragments f = {d, a, b, c}, *p = &f;
    on_cpu::meeting(on_cpu::MATRIX, 0xffffffffu, &p, sizeof p, "mma_sync", multiply_all);
}
} // namespace wmma
} // namespace nvcuda
