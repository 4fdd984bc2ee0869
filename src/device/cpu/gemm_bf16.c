/* GEMM of BF16 operands by oneDNN's matmul, which sums in fp32. The library makes a kernel for each shape and
 * keeps it in a cache. */
#ifdef HAVE_CONFIG_H
#    include "config.h"
#endif
#include "device/cpu/cpu.h"
#ifdef HAVE_DNNL
#    include <dnnl.h>

static void want(dnnl_status_t got, const char *what)
{
    if (got != dnnl_success)
        bug("oneDNN refuses %s of a BF16 matmul (%d)", what, (int)got);
}

/* An instruction set is the bits of all that it has. */
static bool has(dnnl_cpu_isa_t wanted)
{
    return (dnnl_get_effective_cpu_isa() & wanted) == wanted;
}

/* Is the library's BF16 faster than widening? With AMX it is, and on AMD's processors with AVX512_BF16, whose
 * rate is twice that of fp32. Intel's without AMX reach half of fp32: 168 of 318 GFLOP/s on a Xeon of the
 * fifth generation whose hypervisor hides AMX. Features decide, not a measurement: the choice changes bits,
 * and a job that is started again on the same processors has to repeat them. Ranks on unlike processors may
 * choose differently, as the library's fp32 kernels do there. */
bool cpu_fast_at_bf16(void)
{
#    if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_is("amd"))
        return has(dnnl_cpu_isa_avx512_core_bf16);
#    endif
    return has(dnnl_cpu_isa_avx512_core_amx);
}

/* Each number of rows at an expert is another shape. With the library's default of 1,024 kernels a run of 200
 * steps took 190 MB more than planned. */
enum { KERNELS = 128 };

static dnnl_engine_t engine(void)
{
    static dnnl_engine_t cpu;
    if (!cpu) {
        want(dnnl_engine_create(&cpu, dnnl_cpu, 0), "the engine");
        want(dnnl_set_primitive_cache_capacity(KERNELS), "to keep fewer kernels");
    }
    return cpu;
}

/* Calls that differ between versions of oneDNN. */
#    if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t desc;
static desc describe(dnnl_data_type_t type, int64_t rows, int64_t columns, int64_t down, int64_t right)
{
    desc d;
    want(dnnl_memory_desc_create_with_strides(&d, 2, (dnnl_dims_t){rows, columns}, type,
                                              (dnnl_dims_t){down, right}),
         "a shape");
    return d;
}

static void forget(desc d)
{
    dnnl_memory_desc_destroy(d);
}

static dnnl_primitive_desc_t matmul(desc a, desc b, desc c, dnnl_primitive_attr_t attr)
{
    dnnl_primitive_desc_t pd;
    want(dnnl_matmul_primitive_desc_create(&pd, engine(), a, b, NULL, c, attr), "the description");
    return pd;
}

static void memory_of(dnnl_memory_t *m, desc d, void *data)
{
    want(dnnl_memory_create(m, d, engine(), data), "a matrix");
}

static void add_sum(dnnl_post_ops_t ops)
{
    want(dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef), "the sum");
}
#    else
typedef dnnl_memory_desc_t desc;
static desc describe(dnnl_data_type_t type, int64_t rows, int64_t columns, int64_t down, int64_t right)
{
    desc d;
    want(dnnl_memory_desc_init_by_strides(&d, 2, (dnnl_dims_t){rows, columns}, type,
                                          (dnnl_dims_t){down, right}),
         "a shape");
    return d;
}

static void forget(desc d)
{
    (void)d;
}

static dnnl_primitive_desc_t matmul(desc a, desc b, desc c, dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t d;
    dnnl_primitive_desc_t pd;
    want(dnnl_matmul_desc_init(&d, &a, &b, NULL, &c), "the operation");
    want(dnnl_primitive_desc_create(&pd, &d, attr, engine(), NULL), "the description");
    return pd;
}

static void memory_of(dnnl_memory_t *m, desc d, void *data)
{
    want(dnnl_memory_create(m, &d, engine(), data), "a matrix");
}

static void add_sum(dnnl_post_ops_t ops)
{
    want(dnnl_post_ops_append_sum(ops, 1), "the sum");
}
#    endif

/* c = product, or c += product in fp32 before it is rounded. */
static dnnl_primitive_t make(desc a, desc b, desc c, bool acc)
{
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t ops;
    dnnl_primitive_t made;
    want(dnnl_primitive_attr_create(&attr), "attributes");
    want(dnnl_post_ops_create(&ops), "operations");
    if (acc)
        add_sum(ops);
    want(dnnl_primitive_attr_set_post_ops(attr, ops), "operations");
    dnnl_primitive_desc_t pd = matmul(a, b, c, attr);
    want(dnnl_primitive_create(&made, pd), "the kernel");
    dnnl_primitive_desc_destroy(pd);
    dnnl_post_ops_destroy(ops);
    dnnl_primitive_attr_destroy(attr);
    return made;
}

static void run(dnnl_primitive_t kernel, const desc d[3], void *const data[3])
{
    static dnnl_stream_t stream;
    static const int role[3] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};
    dnnl_exec_arg_t arg[3];
    if (!stream)
        want(dnnl_stream_create(&stream, engine(), dnnl_stream_default_flags), "the stream");
    for (int i = 0; i < 3; i++) {
        arg[i].arg = role[i];
        memory_of(&arg[i].memory, d[i], data[i]);
    }
    want(dnnl_primitive_execute(kernel, stream, 3, arg), "to run");
    want(dnnl_stream_wait(stream), "to wait");
    for (int i = 0; i < 3; i++)
        dnnl_memory_destroy(arg[i].memory);
}

/* A matrix as the library describes it; strides transpose it. */
static desc describe_view(view v, bool transposed)
{
    dnnl_data_type_t type = v.type == BF16 ? dnnl_bf16 : dnnl_f32;
    return transposed ? describe(type, v.n[2], v.n[1], 1, v.ld) : describe(type, v.n[1], v.n[2], v.ld, 1);
}

bool cpu_gemm_bf16(bool ta, bool tb, view a, view b, bool acc, view c)
{
    if (a.type != BF16 || b.type != BF16 || view_size(a) == 0 || view_size(b) == 0 ||
        !has(dnnl_cpu_isa_avx512_core_bf16))
        return false;
    desc d[3] = {describe_view(a, ta), describe_view(b, tb), describe_view(c, false)};
    dnnl_primitive_t kernel = make(d[0], d[1], d[2], acc);
    run(kernel, d, (void *const[3]){a.data, b.data, c.data});
    dnnl_primitive_destroy(kernel);
    for (int i = 0; i < 3; i++)
        forget(d[i]);
    return true;
}
#else
bool cpu_fast_at_bf16(void)
{
    return false;
}

bool cpu_gemm_bf16(bool ta, bool tb, view a, view b, bool acc, view c)
{
    (void)ta, (void)tb, (void)a, (void)b, (void)acc, (void)c;
    return false;
}
#endif
