#define _GNU_SOURCE
#include "CAgent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#ifndef SIOCOUTQ
#define SIOCOUTQ TIOCOUTQ
#endif
#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

int execbox_resize_terminal(int master, uint16_t columns, uint16_t rows) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    return ioctl(master, TIOCSWINSZ, &size) < 0 ? errno : 0;
}

int execbox_open_terminal(int *master, int *slave, uint16_t columns, uint16_t rows, uint32_t owner) {
    // No grantpt and no ptsname: they want name services; devpts needs neither.
    int leader = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (leader < 0) return errno;
    int unlocked = 0;
    unsigned number = 0;
    int follower = -1;
    if (ioctl(leader, TIOCSPTLCK, &unlocked) == 0) {
        follower = ioctl(leader, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (follower < 0 && ioctl(leader, TIOCGPTN, &number) == 0) {
            char path[32];
            snprintf(path, sizeof path, "/dev/pts/%u", number);
            follower = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
        }
    }
    if (follower < 0 || execbox_resize_terminal(leader, columns, rows) != 0) {
        int error = errno;
        if (follower >= 0) close(follower);
        close(leader);
        return error;
    }
    // Programs reopen their terminal by name, so it is its user's. Where that is not allowed root's terminal still works by descriptor.
    if (owner != 0 && fchown(follower, owner, (gid_t)-1) < 0) errno = 0;
    *master = leader;
    *slave = follower;
    return 0;
}

int execbox_terminal_end_of_file(int master) {
    struct termios state;
    // On Linux a master answers with its slave's settings.
    if (tcgetattr(master, &state) < 0 || !(state.c_lflag & ICANON)) return -1;
    return state.c_cc[VEOF];
}

int execbox_pipe(int *read_end, int *write_end) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return errno;
    *read_end = ends[0];
    *write_end = ends[1];
    return 0;
}

void execbox_enlarge_pipe(int descriptor, int size) {
    while (size > 64 * 1024 && fcntl(descriptor, F_SETPIPE_SZ, size) < 0) size /= 2;
}

size_t execbox_readable_bytes(int descriptor) {
    int count = 0;
    return ioctl(descriptor, FIONREAD, &count) == 0 && count > 0 ? (size_t)count : 0;
}

size_t execbox_unsent_bytes(int descriptor) {
    int count = 0;
    return ioctl(descriptor, SIOCOUTQ, &count) == 0 && count > 0 ? (size_t)count : 0;
}

size_t execbox_send_buffer(int descriptor) {
    int size = 0;
    socklen_t length = sizeof size;
    return getsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, &length) == 0 && size > 0 ? (size_t)size : 0;
}

int execbox_set_direct(int file, int is_direct) {
    int flags = fcntl(file, F_GETFL);
    if (flags < 0) return errno;
    return fcntl(file, F_SETFL, is_direct ? flags | O_DIRECT : flags & ~O_DIRECT) < 0 ? errno : 0;
}

int execbox_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }
int execbox_become_undumpable(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

void execbox_close_from(int first) {
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) == 0) return;
#endif
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) return;
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        int descriptor = atoi(entry->d_name);
        if (descriptor >= first && descriptor != dirfd(folder)) close(descriptor);
    }
    closedir(folder);
}

int execbox_random(void *bytes, size_t count) {
    size_t got = 0;
    while (got < count) {
        ssize_t more = getrandom((char *)bytes + got, count - got, 0);
        if (more < 0 && errno != EINTR) return errno;
        if (more > 0) got += (size_t)more;
    }
    return 0;
}

void *execbox_map(size_t length) {
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void execbox_unmap(void *memory, size_t length) { munmap(memory, length); }

static pid_t parent_of(pid_t pid) {
    char path[32], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return 0;
    text[length] = '\0';
    // A program's name may hold anything, so the fields are counted from its last bracket.
    char *rest = strrchr(text, ')');
    int parent = 0;
    return rest != NULL && sscanf(rest + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static int descends(pid_t pid, pid_t ancestor) {
    for (int depth = 0; pid > 1 && depth < 4096; depth++) {
        pid = parent_of(pid);
        if (pid == ancestor) return 1;
    }
    return 0;
}

void execbox_kill_descendants(void) {
    pid_t self = getpid();
    // Killed ones cannot fork; a few rounds catch what was born while the list was read.
    for (int round = 0; round < 5; round++) {
        DIR *folder = opendir("/proc");
        if (folder == NULL) return;
        int killed = 0;
        struct dirent *entry;
        while ((entry = readdir(folder)) != NULL) {
            pid_t pid = (pid_t)atoi(entry->d_name);
            if (pid > 1 && pid != self && descends(pid, self) && kill(pid, SIGKILL) == 0) killed++;
        }
        closedir(folder);
        if (killed == 0) return;
    }
}

void execbox_tune_allocator(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 64 * 1024);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
    mallopt(M_ARENA_MAX, 1);
#endif
}

int execbox_exited(int status) { return WIFEXITED(status); }
int execbox_exit_code(int status) { return WEXITSTATUS(status); }
int execbox_term_signal(int status) { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }
