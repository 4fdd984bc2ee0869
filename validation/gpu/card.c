/* cuDNN's description of the first GPU, as JSON on standard output: for t_sdpa_cudnn, which asks for plans
 * without one. */
#include <stdio.h>
#include "device/cuda/sdpa.h"

static int say(const char *what)
{
    fprintf(stderr, "card: %s\n", what);
    return 1;
}

int main(void)
{
    static char json[65536];
    char why[256];
    const struct cudnn *cudnn = cudnn_open(why);
    cudnnBackendDescriptor_t card;
    int32_t first = 0;
    int64_t n = 0;
    if (!cudnn)
        return say(why);
    if (cudnn->BackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &card) ||
        cudnn->BackendSetAttribute(card, CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1, &first) ||
        cudnn->BackendFinalize(card) ||
        cudnn->BackendGetAttribute(card, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                   (int64_t)sizeof json, &n, json))
        return say("cuDNN does not describe this GPU");
    fwrite(json, 1, (size_t)n, stdout);
    return 0;
}
