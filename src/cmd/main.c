#include <stdio.h>
#include "config.h"

int main(void)
{
    printf("%s (%s)\n", PACKAGE_STRING, COPPICE_REVISION);
    return 0;
}
