/* The calls of CUDA's run time that are neither streams nor launches: devices, memory, copies, errors. */
#include "inside.h"
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <sys/syscall.h>
#include <unistd.h>

using namespace on_cpu;

/* An exit code of its own: no test takes it for the program's. */
void on_cpu::die(const char *format, ...)
{
    char text[400], thread[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tell_thread(thread, sizeof thread);
    fprintf(stderr, "cuda on cpu: %s%s\n", text, thread);
    fflush(nullptr);
    syscall(SYS_exit_group, 99); /* nothing more, of a race detector neither */
    __builtin_unreachable();
}

/* ---- devices ---- */
static int chosen;

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *n)
{
    const char *devices = getenv("CUDA_ON_CPU_DEVICES");
    *n = devices ? atoi(devices) : 8;
    return *n > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaSetDevice(int device)
{
    int n;
    if (cudaGetDeviceCount(&n) != cudaSuccess || device < 0 || device >= n)
        return cudaErrorInvalidDevice;
    chosen = device;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device)
{
    *device = chosen;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int)
{
    *p = {"CPU as if it were a GPU", (size_t)16 << 30, DYNAMIC_MOST, 8, 0, 4};
    return cudaSuccess;
}

/* ---- errors: what is wrong ended the program before ---- */
cudaError_t cudaGetLastError()
{
    return cudaSuccess;
}

cudaError_t cudaPeekAtLastError()
{
    return cudaSuccess;
}

const char *cudaGetErrorName(cudaError_t e)
{
    switch (e) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    default: return "cudaErrorUnknown";
    }
}

const char *cudaGetErrorString(cudaError_t e)
{
    switch (e) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    default: return cudaGetErrorName(e);
    }
}

/* ---- memory ---- */

/* CUDA_ON_CPU_MEMORY: bytes that the device has, for tests of running out. */
static size_t all_memory()
{
    const char *most = getenv("CUDA_ON_CPU_MEMORY");
    return most ? (size_t)strtoull(most, nullptr, 10) : (size_t)1 << 34;
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total)
{
    *total = all_memory();
    *free = *total - std::min(*total, (size_t)device_bytes());
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    if (device_bytes() + bytes > all_memory())
        return cudaErrorMemoryAllocation;
    return allocate(p, bytes, false);
}

cudaError_t cudaFree(void *p)
{
    give_back(p);
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **p, size_t bytes)
{
    return allocate(p, bytes, true);
}

cudaError_t cudaFreeHost(void *p)
{
    give_back(p);
    return cudaSuccess;
}

static void check_side(const char *side, const void *p, bool wants_device, bool async)
{
    if (is_device(p) != wants_device)
        die("copy %s %s memory that is the %s's", side, wants_device ? "device" : "host",
            wants_device ? "host" : "device");
    if (async && !wants_device && !is_pinned(p))
        die("asynchronous copy %s host memory that is not pinned", side);
}

static void check_copy(void *to, const void *from, enum cudaMemcpyKind kind, bool async)
{
    if (kind == cudaMemcpyDefault || kind == cudaMemcpyHostToHost)
        die("copies say their direction here");
    check_side("to", to, kind != cudaMemcpyDeviceToHost, async);
    check_side("from", from, kind != cudaMemcpyHostToDevice, async);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    if (bytes == 0)
        return cudaSuccess;
    check_copy(to, from, kind, false);
    device_open open;
    memcpy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t s)
{
    if (bytes == 0)
        return cudaSuccess;
    check_copy(to, from, kind, true);
    enqueue(
        s, [=] { memcpy(to, from, bytes); }, "cudaMemcpyAsync");
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t s)
{
    if (bytes && !is_device(p))
        die("cudaMemsetAsync of host memory");
    enqueue(
        s, [=] { memset(p, value, bytes); }, "cudaMemsetAsync");
    return cudaSuccess;
}

void cuda_on_cpu_counts(long *launches, long *switches)
{
    count(launches, switches);
}
