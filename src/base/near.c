#include "base/near.h"

#include <string.h>

static int min3(int a, int b, int c)
{
    int least = a < b ? a : b;
    return least < c ? least : c;
}

int near_distance(const char *a, const char *b)
{
    int n = (int)strlen(b), row[NEAR_LENGTH + 1];
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int above = row[j];
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

int near_limit(const char *given)
{
    int length = (int)strlen(given);
    return length < 6 ? 2 : length / 3;
}
