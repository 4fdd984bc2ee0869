/* Device memory that the host cannot touch: its pages are closed except while the device works. Fresh memory
 * is NaN, an allocation ends at a page that nobody may touch, and what lies between is looked at when it is
 * freed. */
#include "inside.h"
#include <cstdio>
#include <map>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

namespace on_cpu
{
namespace
{
/* [slack | bytes | fill up to 256 bytes | page that nobody may touch]; it begins where the key is. */
struct piece {
    size_t bytes, mapped;
    bool pinned;
};
enum { ALIGN = 256, FRESH = 0xff };
std::map<char *, piece> pieces;
int opened;

char *first_page(const std::pair<char *const, piece> &p)
{
    return p.first - (uintptr_t)p.first % PAGE;
}

void protect(int how)
{
    for (auto &p : pieces)
        if (!p.second.pinned)
            mprotect(first_page(p), p.second.mapped - PAGE, how);
}

const std::pair<char *const, piece> *piece_of(const void *p)
{
    auto it = pieces.upper_bound((char *)p);
    if (it == pieces.begin())
        return nullptr;
    --it;
    return (char *)p < it->first + it->second.bytes ? &*it : nullptr;
}

void on_fault(int, siginfo_t *info, void *)
{
    char *at = (char *)info->si_addr;
    auto *p = piece_of(at);
    if (p && opened == 0)
        die("the host touches device memory: byte %td of %zu", at - p->first, p->second.bytes);
    for (auto &q : pieces)
        if (at >= q.first && at < first_page(q) + q.second.mapped)
            die("touches byte %td of an allocation of %zu", at - q.first, q.second.bytes);
    die("touches %p, which is no memory", info->si_addr);
}

/* Kernels are compiled so that an access to an address that its type's alignment forbids is a trap. */
void on_trap(int, siginfo_t *, void *)
{
    die("an access without the alignment of its type");
}

void watch_faults()
{
    static bool watched;
    if (watched)
        return;
    struct sigaction a = {};
    a.sa_sigaction = on_fault;
    a.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &a, nullptr);
    a.sa_sigaction = on_trap;
    sigaction(SIGILL, &a, nullptr);
    watched = true;
}

void check_ends()
{
    device_open open;
    for (auto &p : pieces)
        for (char *c = p.first + p.second.bytes; (uintptr_t)c % PAGE; c++)
            if (*c != (char)FRESH)
                die("written %td bytes behind an allocation of %zu", c - p.first - (ptrdiff_t)p.second.bytes,
                    p.second.bytes);
}
} // namespace

device_open::device_open()
{
    if (opened++ == 0)
        protect(PROT_READ | PROT_WRITE);
}

device_open::~device_open()
{
    if (--opened == 0)
        protect(PROT_NONE);
}

cudaError_t allocate(void **out, size_t bytes, bool pinned)
{
    watch_faults();
    *out = nullptr;
    if (bytes == 0)
        return cudaSuccess;
    size_t filled = (bytes + ALIGN - 1) / ALIGN * ALIGN, mapped = (filled + PAGE - 1) / PAGE * PAGE + PAGE;
    char *base = (char *)mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return cudaErrorMemoryAllocation;
    char *p = base + mapped - PAGE - filled;
    memset(p, FRESH, filled);
    mprotect(base + mapped - PAGE, PAGE, PROT_NONE);
    pieces[p] = {bytes, mapped, pinned};
    if (!pinned && opened == 0)
        mprotect(base, mapped - PAGE, PROT_NONE);
    *out = p;
    return cudaSuccess;
}

void give_back(void *p)
{
    if (!p)
        return;
    auto it = pieces.find((char *)p);
    if (it == pieces.end())
        die("free of %p, which was not allocated", p);
    drain_all();
    check_ends();
    munmap(first_page(*it), it->second.mapped);
    pieces.erase(it);
}

bool is_device(const void *p)
{
    auto *x = piece_of(p);
    return x && !x->second.pinned;
}

bool is_pinned(const void *p)
{
    auto *x = piece_of(p);
    return x && x->second.pinned;
}

size_t device_bytes()
{
    size_t sum = 0;
    for (auto &p : pieces)
        sum += p.second.pinned ? 0 : p.second.bytes;
    return sum;
}

/* A word that points into mapped memory of the host: a kernel would read what no GPU can. */
void check_arguments(const char *kernel, const void *arguments, size_t bytes)
{
    const uintptr_t low = (uintptr_t)1 << 40, high = (uintptr_t)1 << 47;
    for (size_t i = 0; i + sizeof(uintptr_t) <= bytes; i += sizeof(uintptr_t)) {
        uintptr_t word;
        unsigned char there;
        memcpy(&word, (const char *)arguments + i, sizeof word);
        if (word < low || word >= high || piece_of((void *)word) || piece_of((void *)(word - 1)))
            continue;
        if (mincore((void *)(word / PAGE * PAGE), 1, &there) == 0)
            die("kernel %s is given host memory: its argument at byte %zu", kernel, i);
    }
}
} // namespace on_cpu
