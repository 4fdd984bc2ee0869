/* NCCL between processes of one machine: each pair of ranks has two mailboxes in shared memory. A group of
 * calls is done when it ends (the stream's earlier work first), so ranks that call different things stop with
 * a message instead of hanging. Sums begin at the rank behind this one's part, as around a ring, and go
 * round: they differ in bits from sums in rank order. */
#include "inside.h"
#include "include/cuda_bf16.h"
#include "include/nccl.h"
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

using on_cpu::die;

namespace
{
struct box {
    std::atomic<int> full;
    int bytes;
    size_t total;
    char what[16], data[1 << 16];
};
struct board {
    std::atomic<int> here;
    box boxes[];
};
} // namespace

struct ncclComm {
    board *shared;
    int rank, size;
    size_t mapped;
    box *from_to(int from, int to)
    {
        return &shared->boxes[from * size + to];
    }
};

namespace
{
struct transfer {
    ncclComm_t comm;
    bool send;
    int peer;
    char *at;
    size_t bytes, done;
    const char *what;
};
struct call {
    cudaStream_t stream;
    std::vector<transfer> moves;
    on_cpu::work after;
};
int depth;
std::vector<call> calls; /* of the group that is open */
long groups_done;

size_t width(ncclDataType_t t)
{
    static const size_t widths[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2};
    return widths[t];
}

/* Others have the cores meanwhile. */
void patience(time_t since, const char *what)
{
    usleep(100);
    if (time(nullptr) - since > 60)
        die("NCCL: waited a minute in %s", what);
}

/* Puts a chunk into the mailbox, or takes one out; true if something moved. */
bool move_chunk(transfer &t)
{
    box *b = t.send ? t.comm->from_to(t.comm->rank, t.peer) : t.comm->from_to(t.peer, t.comm->rank);
    if (t.send == (b->full.load() != 0))
        return false;
    if (t.send) {
        b->bytes = (int)std::min(t.bytes - t.done, sizeof b->data);
        b->total = t.bytes;
        snprintf(b->what, sizeof b->what, "%s", t.what);
        memcpy(b->data, t.at + t.done, (size_t)b->bytes);
    } else {
        if (b->total != t.bytes || strcmp(b->what, t.what))
            die("NCCL: rank %d expects %zu bytes of %s from rank %d, which sends %zu of %s", t.comm->rank,
                t.bytes, t.what, t.peer, b->total, b->what);
        memcpy(t.at + t.done, b->data, (size_t)b->bytes);
    }
    t.done += (size_t)b->bytes;
    b->full = t.send;
    return true;
}

/* One transfer a pair and direction at a time: in order. */
void move_all(std::vector<transfer> moves)
{
    time_t since = time(nullptr);
    while (!moves.empty()) {
        bool any = false;
        std::vector<char> busy((size_t)(2 * moves[0].comm->size));
        for (size_t i = 0; i < moves.size();) {
            char &b = busy[(size_t)(2 * moves[i].peer + moves[i].send)];
            bool moved = !b && move_chunk(moves[i]);
            b = 1;
            any |= moved;
            if (moved && moves[i].done == moves[i].bytes)
                moves.erase(moves.begin() + (long)i);
            else
                i++;
        }
        if (any)
            since = time(nullptr);
        else
            patience(since, moves[0].what);
    }
}

ncclResult_t add(call c)
{
    ncclGroupStart();
    calls.push_back(std::move(c));
    return ncclGroupEnd();
}

ncclResult_t one_way(bool send, const void *p, size_t n, ncclDataType_t t, int peer, ncclComm_t c,
                     cudaStream_t s)
{
    if (!n || peer == c->rank || peer < 0 || peer >= c->size)
        die("NCCL: %s %zu elements to or from rank %d", send ? "sends" : "receives", n, peer);
    if (!on_cpu::is_device(p))
        die("NCCL: host memory");
    return add({s, {{c, send, peer, (char *)p, n * width(t), 0, "send"}}, {}});
}

/* Everyone sends bytes at from(r) to r and receives r's at to(r). */
template <class F, class T>
std::vector<transfer> exchange(ncclComm_t c, size_t bytes, const char *what, F from, T to)
{
    std::vector<transfer> m;
    for (int r = 0; r < c->size; r++)
        if (r != c->rank && bytes) {
            m.push_back({c, true, r, (char *)from(r), bytes, 0, what});
            m.push_back({c, false, r, to(r), bytes, 0, what});
        }
    return m;
}

template <class T> void add_up(T *out, const std::vector<const char *> &in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        T sum = ((const T *)(const void *)in[0])[i];
        for (size_t r = 1; r < in.size(); r++)
            sum += ((const T *)(const void *)in[r])[i];
        out[i] = sum;
    }
}

void sum(void *out, const std::vector<const char *> &in, size_t n, ncclDataType_t t)
{
    switch (t) {
    case ncclFloat32: add_up((float *)out, in, n); break;
    case ncclFloat64: add_up((double *)out, in, n); break;
    case ncclInt32: add_up((int32_t *)out, in, n); break;
    default: die("NCCL: a sum of type %d", t);
    }
}

ncclResult_t reduce(const void *in, void *out, size_t n, bool scatter, const char *what, ncclDataType_t t,
                    ncclComm_t c, cudaStream_t s)
{
    size_t bytes = n * width(t);
    char *others = (char *)malloc(bytes * (size_t)c->size + 1);
    int me = c->rank, size = c->size;
    auto part = [=](int r) { return (const char *)in + (scatter ? (size_t)r * bytes : 0); };
    auto room = [=](int r) { return others + (size_t)r * bytes; };
    return add({s, exchange(c, bytes, what, part, room), [=] {
                    std::vector<const char *> all;
                    for (int i = 1, first = scatter ? me : 0; i <= size; i++) {
                        int r = (first + i) % size;
                        all.push_back(r == me ? part(me) : room(r));
                    }
                    sum(out, all, n, t);
                    free(others);
                }});
}
} // namespace

ncclResult_t ncclGetVersion(int *version)
{
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t r)
{
    return r == ncclSuccess       ? "no error"
           : r == ncclRemoteError ? "remote process exited or there was a network error"
                                  : "an error";
}

const char *ncclGetLastError(ncclComm_t)
{
    return "";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    static int n;
    snprintf(id->internal, sizeof id->internal, "/cuda-on-cpu-%d-%d", (int)getpid(), n++);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t *out, int n, ncclUniqueId id, int rank)
{
    size_t bytes = sizeof(board) + (size_t)n * (size_t)n * sizeof(box);
    int file = shm_open(id.internal, O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, (off_t)bytes))
        return ncclSystemError;
    void *shared = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared == MAP_FAILED)
        return ncclSystemError;
    *out = new ncclComm{(board *)shared, rank, n, bytes};
    time_t since = time(nullptr);
    for ((*out)->shared->here++; (*out)->shared->here < n;)
        patience(since, "ncclCommInitRank");
    if (rank == 0)
        shm_unlink(id.internal);
    return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t c)
{
    munmap(c->shared, c->mapped);
    delete c;
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t c)
{
    return ncclCommDestroy(c);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t *r)
{
    const char *planted = getenv("CUDA_ON_CPU_NCCL_FAIL");
    int rank;
    long group;
    bool fails = planted && sscanf(planted, "%d:%ld", &rank, &group) == 2 && rank == c->rank;
    *r = fails && groups_done >= group ? ncclRemoteError : ncclSuccess;
    return ncclSuccess;
}

ncclResult_t ncclGroupStart()
{
    depth++;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd()
{
    if (--depth > 0 || calls.empty())
        return ncclSuccess;
    std::vector<call> todo;
    todo.swap(calls);
    std::vector<transfer> all;
    std::vector<on_cpu::work> after;
    for (auto &c : todo) {
        if (c.stream != todo[0].stream)
            die("NCCL: two streams in one group");
        all.insert(all.end(), c.moves.begin(), c.moves.end());
        if (c.after)
            after.push_back(c.after);
    }
    groups_done++;
    on_cpu::enqueue(
        todo[0].stream,
        [=] {
            move_all(all);
            for (auto &a : after)
                a();
        },
        "nccl");
    on_cpu::run_now(todo[0].stream);
    return ncclSuccess;
}

ncclResult_t ncclSend(const void *p, size_t n, ncclDataType_t t, int peer, ncclComm_t c, cudaStream_t s)
{
    return one_way(true, p, n, t, peer, c, s);
}

ncclResult_t ncclRecv(void *p, size_t n, ncclDataType_t t, int peer, ncclComm_t c, cudaStream_t s)
{
    return one_way(false, p, n, t, peer, c, s);
}

ncclResult_t ncclAllGather(const void *in, void *out, size_t n, ncclDataType_t t, ncclComm_t c,
                           cudaStream_t s)
{
    size_t bytes = n * width(t);
    int me = c->rank;
    auto at = [=](int r) { return (char *)out + (size_t)r * bytes; };
    return add({s,
                exchange(
                    c, bytes, "allgather", [=](int) { return in; }, at),
                [=] { memmove(at(me), in, bytes); }});
}

ncclResult_t ncclReduceScatter(const void *in, void *out, size_t n, ncclDataType_t t, ncclRedOp_t,
                               ncclComm_t c, cudaStream_t s)
{
    return reduce(in, out, n, true, "reducescatter", t, c, s);
}

ncclResult_t ncclAllReduce(const void *in, void *out, size_t n, ncclDataType_t t, ncclRedOp_t, ncclComm_t c,
                           cudaStream_t s)
{
    return reduce(in, out, n, false, "allreduce", t, c, s);
}
