// lines COUNT: writes so many lines of 100 bytes, each by a write of its own, as a program does that flushes every line.

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char line[100];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    for (long left = argc > 1 ? atol(argv[1]) : 0; left > 0; left--) {
        for (size_t sent = 0; sent < sizeof line;) {
            ssize_t count = write(STDOUT_FILENO, line + sent, sizeof line - sent);
            if (count < 0) return 1;
            sent += (size_t)count;
        }
    }
    return 0;
}
