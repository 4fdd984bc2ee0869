/* Streams: queues that run when somebody must wait for them (lazy), or at once (eager). Under a race detector
 * each is a thread of its own. */
#include "inside.h"
#include "race.h"
#include <cstdlib>
#include <deque>
#include <memory>
#include <set>

struct CUevent_st {
    cudaStream_t on = nullptr;   /* where it was recorded last */
    long recorded = 0, done = 0; /* so many times */
    char token = 0;
};

namespace on_cpu
{
namespace
{
struct op {
    enum { WORK, RECORD, WAIT } kind;
    work run;
    const char *name;
    cudaEvent_t event;
    long turn;       /* of the event */
    cudaStream_t on; /* WAIT: the event's stream when it was asked for */
    std::unique_ptr<char> token;
};
} // namespace
} // namespace on_cpu

struct CUstream_st {
    std::deque<on_cpu::op> todo;
    void *context = race::new_context();
    char token = 0;
};

namespace on_cpu
{
namespace
{
std::set<cudaStream_t> streams;
int lazy_now = -1;
unsigned order_now;

void default_policy()
{
    const char *streams_are = getenv("CUDA_ON_CPU_STREAMS"), *ordered = getenv("CUDA_ON_CPU_ORDER");
    lazy_now = !(streams_are && !strcmp(streams_are, "eager"));
    order_now = ordered ? (unsigned)strtoul(ordered, nullptr, 10) : 0;
}

void run_one(cudaStream_t s)
{
    if (s->todo.empty())
        die("an event is waited for that no stream will record");
    op o = std::move(s->todo.front());
    s->todo.pop_front();
    void *caller = race::my_context();
    race::become(s->context);
    race::acquire(o.token.get());
    if (o.kind == op::WAIT) {
        while (o.event->done < o.turn)
            run_one(o.on);
        race::acquire(&o.event->token);
    } else if (o.kind == op::RECORD) {
        race::release(&o.event->token);
        o.event->done = std::max(o.event->done, o.turn);
    } else {
        device_open open;
        o.run();
        o.run = {}; /* freed by the one who used it */
    }
    race::release(&s->token);
    race::become(caller);
}

void push(cudaStream_t s, op o)
{
    if (!s)
        die("%s: the default stream is not for us", o.name);
    o.token.reset(new char);
    s->todo.push_back(std::move(o));
    race::release(s->todo.back().token.get());
    if (!lazy())
        run_now(s);
}

void run_until(cudaEvent_t e)
{
    device_open open;
    while (e->done < e->recorded)
        run_one(e->on);
}
} // namespace

bool lazy()
{
    if (lazy_now < 0)
        default_policy();
    return lazy_now > 0;
}

unsigned order()
{
    if (lazy_now < 0)
        default_policy();
    return order_now;
}

std::vector<int> order_of(int n)
{
    std::vector<int> o(n);
    for (int i = 0; i < n; i++)
        o[i] = order() == 1 ? n - 1 - i : i;
    uint64_t r = order() * 0x9e3779b97f4a7c15ull;
    for (uint64_t i = n - 1; order() > 1 && n > 0 && i > 0; i--) {
        r = r * 6364136223846793005ull + 1442695040888963407ull;
        std::swap(o[i], o[(r >> 33) % (i + 1)]);
    }
    return o;
}

void enqueue(cudaStream_t s, work w, const char *name)
{
    push(s, {op::WORK, std::move(w), name, nullptr, 0, nullptr, nullptr});
}

void run_now(cudaStream_t s)
{
    device_open open;
    while (!s->todo.empty())
        run_one(s);
}

void drain(cudaStream_t s)
{
    run_now(s);
    race::acquire(&s->token);
}

void drain_all()
{
    for (cudaStream_t s : streams)
        drain(s);
}
} // namespace on_cpu

using namespace on_cpu;

void cuda_on_cpu_policy(enum cuda_on_cpu_streams how, unsigned order)
{
    drain_all();
    lazy_now = how == CUDA_ON_CPU_LAZY;
    order_now = order;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
    if (flags != cudaStreamNonBlocking)
        die("streams are created cudaStreamNonBlocking here");
    streams.insert(*s = new CUstream_st);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    drain(s);
    streams.erase(s);
    delete s;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    drain(s);
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t s)
{
    if (s->todo.empty()) {
        race::acquire(&s->token);
        return cudaSuccess;
    }
    run_now(s); /* time passes until it is asked again */
    return cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
    if (e->recorded)
        push(s, {op::WAIT, {}, "cudaStreamWaitEvent", e, e->recorded, e->on, nullptr});
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned)
{
    *e = new CUevent_st;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    drain_all(); /* nobody waits for it any more */
    delete e;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    e->on = s;
    push(s, {op::RECORD, {}, "cudaEventRecord", e, ++e->recorded, nullptr, nullptr});
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t e)
{
    if (e->done >= e->recorded) {
        race::acquire(&e->token);
        return cudaSuccess;
    }
    run_until(e); /* time passes until it is asked again */
    return cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    run_until(e);
    race::acquire(&e->token);
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t, cudaEvent_t)
{
    *ms = 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize()
{
    drain_all();
    return cudaSuccess;
}
