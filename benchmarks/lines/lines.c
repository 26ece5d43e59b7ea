// lines COUNT [flush]: writes so many lines of 100 bytes to standard output, as the C library does it for a pipe: 4096 bytes at a time.
// With "flush", each line by a write of its own.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    char line[100];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    int flushes = argc > 2 && strcmp(argv[2], "flush") == 0;
    for (long left = argc > 1 ? atol(argv[1]) : 0; left > 0; left--) {
        if (fwrite(line, sizeof line, 1, stdout) != 1) return 1;
        if (flushes && fflush(stdout) != 0) return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
