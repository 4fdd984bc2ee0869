/* The emulation itself: what works as on a GPU, and the mistakes that it must see. Each case runs in a
 * process of its own, for every order of threads and both ways of streams; under ThreadSanitizer
 * (t_emulation_race) also the races. TAP. */
#include "include/cuda_bf16.h"
#include "include/cuda_pipeline.h"
#include "include/cuda_runtime.h"
#include "include/mma.h"
#include "race.h"
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace
{
const unsigned ALL = 0xffffffffu;
cudaStream_t s, other;

template <class T> T *on_device(size_t n)
{
    T *p;
    cudaMalloc(&p, n * sizeof *p);
    return p;
}

template <class T> T *pinned(size_t n)
{
    T *p;
    cudaMallocHost(&p, n * sizeof *p);
    return p;
}

/* Reads device memory behind the stream's work. */
float read(const float *p, size_t at = 0)
{
    float v;
    cudaStreamSynchronize(s);
    cudaMemcpy(&v, p + at, sizeof v, cudaMemcpyDeviceToHost);
    return v;
}

bool all_equal(const float *p, int n, float v)
{
    for (int i = 0; i < n; i++)
        if (read(p, (size_t)i) != v)
            return false;
    return true;
}

/* ---- kernels, right and wrong ---- */
__global__ void fill(float *y, float v, int n)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        y[i] = v;
}

__global__ void copy(float *y, const float *x, int n)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        y[i] = x[i];
}

/* Each thread takes its neighbour's number; without the barrier it reads what is not there yet. */
template <bool Barrier> __global__ void neighbour(float *y)
{
    SHARED(float, x, [256]);
    x[threadIdx.x] = (float)threadIdx.x;
    if (Barrier)
        __syncthreads();
    y[threadIdx.x] = x[(threadIdx.x + 37) % blockDim.x] - (float)((threadIdx.x + 37) % blockDim.x);
}

/* The same within a warp: memory is ordered by __syncwarp alone. */
template <bool Barrier> __global__ void warp_neighbour(float *y)
{
    SHARED(float, x, [32]);
    x[threadIdx.x] = (float)threadIdx.x;
    if (Barrier)
        __syncwarp();
    else
        __shfl_xor_sync(ALL, 0, 1); /* meets, but orders nothing */
    y[threadIdx.x] = x[threadIdx.x ^ 1] - (float)(threadIdx.x ^ 1);
}

__global__ void warp_sums(float *y)
{
    float v = (float)threadIdx.x;
    for (int d = 16; d > 0; d /= 2)
        v += __shfl_xor_sync(ALL, v, d);
    unsigned odd = __ballot_sync(ALL, threadIdx.x % 2), third = 0;
    int first = __shfl_sync(ALL, (int)threadIdx.x, 0, 8); /* of its eight */
    if (threadIdx.x % 3 == 0)
        third = __ballot_sync(0x49249249u, 1); /* lanes 0, 3, ... 30 */
    bool good = v == 496 && odd == 0xaaaaaaaau && first == (int)threadIdx.x / 8 * 8 &&
                third == (threadIdx.x % 3 ? 0u : 0x49249249u);
    y[threadIdx.x] = good ? 1 : 0;
}

__global__ void counts(int *y)
{
    SHARED(int, n, [1]);
    if (threadIdx.x == 0)
        n[0] = 0;
    __syncthreads();
    atomicAdd(&n[0], 1);
    int odd = __syncthreads_count(threadIdx.x % 2);
    if (threadIdx.x == 0)
        y[0] = n[0] * 1000 + odd;
}

__global__ void counts_plainly(int *y)
{
    y[0] += 1;
}

__global__ void some_leave(float *y) /* the rest still meets */
{
    if (threadIdx.x >= 40)
        return;
    y[threadIdx.x] = (float)__syncthreads_count(1);
}

__global__ void uninitialised(float *y)
{
    SHARED(float, x, [32]);
    y[threadIdx.x] = x[threadIdx.x];
}

template <int Waits> __global__ void fetch(float *y, const float *x)
{
    SHARED(float, t, [128]);
    __pipeline_memcpy_async(&t[threadIdx.x * 4], &x[threadIdx.x * 4], 16);
    __pipeline_commit();
    if (Waits)
        __pipeline_wait_prior(0);
    float v = t[threadIdx.x * 4 + 3];
    if (!Waits)
        __pipeline_wait_prior(0);
    y[threadIdx.x] = v;
}

__global__ void fetch_without_end(const float *x)
{
    SHARED(float, t, [128]);
    __pipeline_memcpy_async(&t[threadIdx.x * 4], &x[threadIdx.x * 4], 16);
    __pipeline_commit();
}

__global__ void product(float *y) /* a[i][k] = i, b[k][j] = 1: 16 i */
{
    using namespace nvcuda::wmma;
    SHARED(__nv_bfloat16, a, [512]);
    SHARED(float, c, [256]);
    __nv_bfloat16 *b = a + 256;
    for (int i = (int)threadIdx.x; i < 256; i += 32) {
        a[i] = __float2bfloat16((float)(i / 16));
        b[i] = __float2bfloat16(1);
    }
    __syncwarp();
    fragment<matrix_a, 16, 16, 16, __nv_bfloat16, row_major> fa;
    fragment<matrix_b, 16, 16, 16, __nv_bfloat16, col_major> fb;
    sums d;
    fill_fragment(d, 0.f);
    load_matrix_sync(fa, a, 16);
    load_matrix_sync(fb, b, 16);
    mma_sync(d, fa, fb, d);
    store_matrix_sync(c, d, 16, mem_row_major);
    __syncwarp();
    for (int i = (int)threadIdx.x; i < 256; i += 32)
        y[i] = c[i] - (float)(16 * (i / 16));
}

__global__ void behind(float *y, int at)
{
    y[at] = 0;
}

__global__ void behind_shared(float *y)
{
    SHARED(float, x, [32]);
    x[32 + threadIdx.x % 2] = 0;
    y[0] = x[0];
}

__global__ void misaligned(float *y)
{
    *(float4 *)(y + 1) = make_float4(0, 0, 0, 0);
}

__global__ void not_in_mask()
{
    __shfl_sync(0xffffu, 1, 0);
}

__global__ void diverged()
{
    if (threadIdx.x < 16)
        __shfl_sync(ALL, 1, 0);
    else
        __ballot_sync(ALL, 1);
}

__global__ void half_comes()
{
    if (threadIdx.x < 16)
        __syncwarp();
}

__global__ void two_barriers()
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
}

__global__ void dynamic(float *y)
{
    SHARED_DYNAMIC(float, x);
    x[threadIdx.x] = 1;
    y[threadIdx.x] = x[threadIdx.x];
}

/* ---- cases: what each returns, or the words that end it ---- */
float *zeros(int n)
{
    float *y = on_device<float>((size_t)n);
    LAUNCH(fill, (n + 255) / 256, 256, 0, s, y, 0.f, n);
    return y;
}

bool barrier()
{
    float *y = on_device<float>(256);
    LAUNCH(neighbour<true>, 1, 256, 0, s, y);
    return all_equal(y, 256, 0);
}
bool no_barrier()
{
    float *y = on_device<float>(256);
    LAUNCH(neighbour<false>, 1, 256, 0, s, y);
    return all_equal(y, 256, 0);
}
bool warp_barrier()
{
    float *y = on_device<float>(32);
    LAUNCH(warp_neighbour<true>, 1, 32, 0, s, y);
    return all_equal(y, 32, 0);
}
bool no_warp_barrier()
{
    float *y = on_device<float>(32);
    LAUNCH(warp_neighbour<false>, 1, 32, 0, s, y);
    return all_equal(y, 32, 0);
}
bool shuffles()
{
    float *y = on_device<float>(32);
    LAUNCH(warp_sums, 1, 32, 0, s, y);
    return all_equal(y, 32, 1);
}
bool counting()
{
    int *y = on_device<int>(1), n;
    LAUNCH(counts, 1, 100, 0, s, y);
    cudaStreamSynchronize(s);
    cudaMemcpy(&n, y, sizeof n, cudaMemcpyDeviceToHost);
    return n == 100050;
}
bool plain_counting()
{
    LAUNCH(counts_plainly, 2, 1, 0, s, (int *)(void *)zeros(1));
    cudaStreamSynchronize(s);
    return true;
}
bool leaving()
{
    float *y = on_device<float>(40);
    LAUNCH(some_leave, 1, 64, 0, s, y);
    return all_equal(y, 40, 40);
}
bool fresh_shared()
{
    float *y = on_device<float>(32);
    LAUNCH(uninitialised, 1, 32, 0, s, y);
    return std::isnan(read(y)) && std::isnan(read(on_device<float>(1)));
}
bool async_copies()
{
    float *y = on_device<float>(32);
    LAUNCH(fetch<1>, 1, 32, 0, s, y, (const float *)zeros(128));
    return all_equal(y, 32, 0);
}
bool async_too_early()
{
    float *y = on_device<float>(32);
    LAUNCH(fetch<0>, 1, 32, 0, s, y, (const float *)zeros(128));
    return all_equal(y, 32, 0);
}
bool async_never()
{
    LAUNCH(fetch_without_end, 1, 32, 0, s, (const float *)zeros(128));
    cudaStreamSynchronize(s);
    return true;
}
bool matrices()
{
    float *y = on_device<float>(256);
    LAUNCH(product, 1, 32, 0, s, y);
    return all_equal(y, 256, 0);
}
bool host_reads()
{
    float *y = zeros(1);
    cudaStreamSynchronize(s);
    return y[0] == 0;
}
bool far_behind()
{
    LAUNCH(behind, 1, 1, 0, s, zeros(8), 1024);
    cudaStreamSynchronize(s);
    return true;
}
bool just_behind()
{
    float *y = zeros(8);
    LAUNCH(behind, 1, 1, 0, s, y, 8);
    cudaFree(y);
    return true;
}
bool shared_behind()
{
    LAUNCH(behind_shared, 1, 32, 0, s, zeros(1));
    cudaStreamSynchronize(s);
    return true;
}
bool alignment()
{
    LAUNCH(misaligned, 1, 1, 0, s, zeros(8));
    cudaStreamSynchronize(s);
    return true;
}
template <void (*Kernel)()> bool meets()
{
    LAUNCH(Kernel, 1, 64, 0, s);
    cudaStreamSynchronize(s);
    return true;
}
template <class... A> void launch(void (*kernel)(A...), unsigned threads, size_t bytes, A... a)
{
    LAUNCH(kernel, 1, threads, bytes, s, a...);
    cudaStreamSynchronize(s);
}
bool too_many_threads()
{
    launch(dynamic, 1025, 64, zeros(32));
    return true;
}
bool shared_not_allowed()
{
    launch(dynamic, 32, 100 << 10, zeros(32));
    return true;
}
bool shared_allowed()
{
    cudaFuncSetAttribute(dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 << 10);
    launch(dynamic, 32, 100 << 10, zeros(32));
    return true;
}
bool shared_too_much()
{
    cudaFuncSetAttribute(dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 200 << 10);
    launch(dynamic, 32, 200 << 10, zeros(32));
    return true;
}
bool host_argument()
{
    float x = 0;
    LAUNCH(fill, 1, 1, 0, s, &x, 1.f, 1);
    return true;
}

/* x = 1, 2 on the other stream; y = x here. */
bool two_streams(bool wait)
{
    float *x = on_device<float>(1), *y = on_device<float>(1);
    cudaEvent_t done;
    cudaEventCreateWithFlags(&done, cudaEventDisableTiming);
    LAUNCH(fill, 1, 1, 0, other, x, 1.f, 1);
    cudaEventRecord(done, other);
    if (wait)
        cudaStreamWaitEvent(s, done, 0);
    LAUNCH(copy, 1, 1, 0, s, y, (const float *)x, 1);
    return read(y) == 1;
}
bool event_waited()
{
    return two_streams(true);
}
bool event_forgotten()
{
    return two_streams(false);
}
bool event_of_old_turn() /* recorded again on another stream, the wait is for the first time */
{
    float *x = on_device<float>(1), *y = on_device<float>(1);
    cudaEvent_t done;
    cudaEventCreateWithFlags(&done, cudaEventDisableTiming);
    LAUNCH(fill, 1, 1, 0, other, x, 1.f, 1);
    cudaEventRecord(done, other);
    cudaStreamWaitEvent(s, done, 0);
    LAUNCH(copy, 1, 1, 0, s, y, (const float *)x, 1);
    cudaEventRecord(done, s);
    while (cudaEventQuery(done) == cudaErrorNotReady)
        ;
    return read(y) == 1;
}
bool copies(bool reused)
{
    float *x = on_device<float>(1), *h = pinned<float>(1);
    h[0] = 1;
    cudaMemcpyAsync(x, h, sizeof *h, cudaMemcpyHostToDevice, s);
    if (!reused)
        cudaStreamSynchronize(s);
    h[0] = 2;
    return read(x) == 1;
}
bool copy_waited()
{
    return copies(false);
}
bool copy_reused()
{
    return copies(true);
}
bool not_pinned()
{
    float h = 0;
    cudaMemcpyAsync(on_device<float>(1), &h, sizeof h, cudaMemcpyHostToDevice, s);
    return true;
}
bool wrong_way()
{
    float h = 0;
    cudaMemcpy(zeros(1), &h, sizeof h, cudaMemcpyDeviceToHost);
    return true;
}
bool default_stream()
{
    LAUNCH(fill, 1, 1, 0, nullptr, zeros(1), 1.f, 1);
    return true;
}

/* ---- the table ---- */
enum expected { RIGHT, WRONG, LATE_WRONG, RACE, DIES };
const struct {
    const char *name;
    bool (*run)();
    expected is;       /* LATE_WRONG: wrong where streams are lazy */
    const char *words; /* that end it, for DIES */
    bool raced;        /* the detector must see it, too */
} cases[] = {
    {"a barrier of a block", barrier, RIGHT, nullptr, false},
    {"a barrier of a warp", warp_barrier, RIGHT, nullptr, false},
    {"shuffles, ballots, a partial mask", shuffles, RIGHT, nullptr, false},
    {"atomics and votes", counting, RIGHT, nullptr, false},
    {"a barrier after some threads left", leaving, RIGHT, nullptr, false},
    {"fresh memory is NaN", fresh_shared, RIGHT, nullptr, false},
    {"cp.async", async_copies, RIGHT, nullptr, false},
    {"products of matrices", matrices, RIGHT, nullptr, false},
    {"dynamic shared memory", shared_allowed, RIGHT, nullptr, false},
    {"an event between streams", event_waited, RIGHT, nullptr, false},
    {"an event recorded again", event_of_old_turn, RIGHT, nullptr, false},
    {"an asynchronous copy", copy_waited, RIGHT, nullptr, false},
    {"no barrier in a block", no_barrier, WRONG, nullptr, true},
    {"no barrier in a warp", no_warp_barrier, RACE, nullptr, true},
    {"+= of two blocks", plain_counting, RACE, nullptr, true},
    {"cp.async read too early", async_too_early, WRONG, nullptr, false},
    {"no event between streams", event_forgotten, LATE_WRONG, nullptr, true},
    {"a pinned buffer used again too early", copy_reused, LATE_WRONG, nullptr, true},
    {"cp.async without a wait", async_never, DIES, "nobody waited for", false},
    {"the host reads device memory", host_reads, DIES, "the host touches device memory: byte 0 of 4", false},
    {"far behind an allocation", far_behind, DIES, "touches byte 4096 of an allocation of 32", false},
    {"just behind an allocation", just_behind, DIES, "behind an allocation of 32", false},
    {"behind a shared array", shared_behind, DIES, "wrote behind the shared array x", false},
    {"16 bytes at an odd address", alignment, DIES, "alignment", false},
    {"a lane outside its mask", meets<not_in_mask>, DIES, "is not in its own mask", false},
    {"lanes diverge", meets<diverged>, DIES, "lanes of a warp diverged", false},
    {"half a warp comes", meets<half_comes>, DIES, "threads wait for each other", false},
    {"two barriers", meets<two_barriers>, DIES, "meet at different barriers", false},
    {"1025 threads", too_many_threads, DIES, "block 1025,1,1", false},
    {"shared memory that was not allowed", shared_not_allowed, DIES, "cudaFuncSetAttribute", false},
    {"too much shared memory", shared_too_much, DIES, "204800 bytes of shared memory", false},
    {"host memory for a kernel", host_argument, DIES, "is given host memory", false},
    {"an asynchronous copy from memory not pinned", not_pinned, DIES, "not pinned", false},
    {"a copy the wrong way", wrong_way, DIES, "copy to host memory that is the device's", false},
    {"the default stream", default_stream, DIES, "default stream", false},
};

/* Runs a case in a process of its own; its standard error goes to `said`. Returns its exit code: 0 right, 1
 * wrong, 66 a race, 99 ended by the emulation. */
int run_case(bool (*run)(), cuda_on_cpu_streams streams, unsigned order, std::string *said)
{
    int ends[2], state;
    char text[4096];
    if (pipe(ends) != 0)
        abort();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        cuda_on_cpu_policy(streams, order);
        cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
        cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
        bool right = run();
        cudaDeviceSynchronize();
        exit(right ? 0 : 1);
    }
    close(ends[1]);
    said->clear();
    for (ssize_t n; (n = ::read(ends[0], text, sizeof text)) > 0;)
        said->append(text, (size_t)n);
    close(ends[0]);
    waitpid(child, &state, 0);
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
}

/* Was case i as it should be? In any order for what must be right; a mistake must be seen in one of them. */
bool judge(size_t i, std::string *said)
{
    bool right = true, wrong_late = false, wrong = false, dies = true, raced = false;
    for (int lazy = 0; lazy < 2; lazy++)
        for (unsigned order = race::watched() ? 2 : 0; order < 3; order++) { /* the detector is slow */
            int code = run_case(cases[i].run, (cuda_on_cpu_streams)lazy, order, said);
            right &= code == 0;
            wrong |= code == 1;
            wrong_late |= code == 1 && lazy;
            dies &= code == 99 && cases[i].words && said->find(cases[i].words) != std::string::npos;
            raced |= said->find("data race") != std::string::npos;
        }
    if (race::watched() && cases[i].raced)
        return raced;
    switch (cases[i].is) {
    case RIGHT: return right && !raced;
    case WRONG: return wrong;
    case LATE_WRONG: return wrong_late;
    case RACE: return !race::watched(); /* values do not show it */
    default: return dies;
    }
}
} // namespace

int main()
{
    size_t n = sizeof cases / sizeof *cases;
    bool good = true;
    printf("1..%zu\n", n);
    for (size_t i = 0; i < n; i++) {
        std::string said;
        bool ok = judge(i, &said);
        good &= ok;
        printf("%sok %zu - %s\n", ok ? "" : "not ", i + 1, cases[i].name);
        if (!ok)
            printf("# %s\n", said.substr(0, said.find('\n')).c_str());
    }
    return !good;
}
