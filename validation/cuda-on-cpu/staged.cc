/* Tests hold their matrices in host memory. With this file a device with memory of its own takes them: each
 * op's views go to device memory before it and come back after it, gaps between rows included, at the same
 * places modulo 256 bytes; views that overlap stay together. What an op touches beyond them stops the test.
 */
#include <algorithm>
#include <vector>
#include <cstdint>
#ifdef CUDA_ON_CPU
#    include "inside.h"
#else
namespace on_cpu
{
struct device_open { /* a GPU's memory stays where it is */
    ~device_open()
    {
    }
};
} // namespace on_cpu
#endif
extern "C" {
#include "device/ops.h"
#include "../unit/ops_device.h"
}

namespace
{
const dev_ops *real; /* the device's own */
dev_ops staged;

/* Bytes [from, to) of host memory, and where they are on the device. */
struct block {
    char *from, *to, *device;
    void *base;
};

class stage
{
    struct dev *dev;
    std::vector<block> blocks;

    static int64_t bytes_of(view v)
    {
        int64_t rows = v.n[0] * v.n[1];
        return view_size(v) > 0 ? ((rows - 1) * v.ld + v.n[2]) * dtype_size(v.type) : 0;
    }

  public:
    explicit stage(struct dev *d) : dev(d)
    {
    }
    void note(view v)
    {
        char *from = (char *)v.data;
        if (bytes_of(v) > 0)
            blocks.push_back({from, from + bytes_of(v), nullptr, nullptr});
    }
    void note(const attn_shape &a)
    {
        note(a.first);
    }
    void note(const route &r)
    {
        note(r.padding);
    }
    template <class T> void note(T)
    {
    }
    void up()
    {
        on_cpu::device_open once; /* not once for each block */
        std::sort(blocks.begin(), blocks.end(),
                  [](const block &a, const block &b) { return a.from < b.from; });
        std::vector<block> joined;
        for (const block &b : blocks)
            if (!joined.empty() && b.from < joined.back().to)
                joined.back().to = std::max(joined.back().to, b.to);
            else
                joined.push_back(b);
        blocks = joined;
        for (block &b : blocks) {
            int64_t skip = (int64_t)((uintptr_t)b.from % 256);
            if (real->alloc(dev, &b.base, skip + (b.to - b.from), FRESH_ANY) != OK)
                bug("%s", status_text());
            b.device = (char *)b.base + skip;
            real->upload(dev, b.device, b.from, b.to - b.from);
        }
    }
    view moved(view v)
    {
        for (const block &b : blocks)
            if (bytes_of(v) > 0 && (char *)v.data >= b.from && (char *)v.data < b.to) {
                v.data = b.device + ((char *)v.data - b.from);
                return v;
            }
        v.data = nullptr; /* of no elements */
        return v;
    }
    attn_shape moved(attn_shape a)
    {
        a.first = moved(a.first);
        return a;
    }
    route moved(route r)
    {
        r.padding = moved(r.padding);
        return r;
    }
    template <class T> T moved(T x)
    {
        return x;
    }
    ~stage()
    {
        on_cpu::device_open once;
        for (const block &b : blocks) {
            real->download(dev, b.from, b.device, b.to - b.from);
            real->free(dev, b.base, b.to - b.from + (b.device - (char *)b.base));
        }
        dev->ops = &staged;
    }
};

template <auto op, class R, class... A> R run(struct dev *dev, A... a)
{
    stage s(dev);
    dev->ops = real;
    (s.note(a), ...);
    s.up();
    return (real->*op)(dev, s.moved(a)...);
}

template <auto op, class R, class... A>
auto wrapped(R (*dev_ops::*)(struct dev *, A...)) -> R (*)(struct dev *, A...)
{
    return run<op, R, A...>;
}

void stage_device(struct dev *dev)
{
    real = dev->ops;
    staged = *real;
    staged.host_memory = true;
#define WRAP(result, name, args) staged.name = wrapped<&dev_ops::name>(&dev_ops::name);
    DEV_OPS(WRAP)
#undef WRAP
    dev->ops = &staged;
}

__attribute__((constructor)) void offer()
{
    ops_stage = stage_device;
}
} // namespace
