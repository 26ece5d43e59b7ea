// fork to exec. In the child only async-signal-safe calls are made: no allocation, no stdio, no name service.
#define _GNU_SOURCE
#include "CAgent.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PATH_LIMIT = 4096, PATIENCE_MS = 10000 };

struct failure {
    int stage;
    int error;
};

static _Noreturn void fail(int report, int stage, int error) {
    struct failure failure = {stage, error};
    ssize_t written;
    do {
        written = write(report, &failure, sizeof failure);
    } while (written < 0 && errno == EINTR);
    _exit(127);
}

static void reset_signals(void) {
    // Ignored signals survive exec. Not by sigaction: it leaves out the C library's own two. All zero is the kernel's default action.
    unsigned long action[8] = {0};
    // SIGKILL and SIGSTOP refuse, which is fine.
    for (int number = 1; number <= 64; number++) syscall(SYS_rt_sigaction, number, action, NULL, (size_t)8);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void raise_oom_score(void) {
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    // Best effort: the kernel should take a process of the user's before the agent.
    if (write(file, "500", 3) < 0) errno = 0;
    close(file);
}

static int make_directories(const char *path) {
    char partial[PATH_LIMIT];
    size_t length = strlen(path);
    if (length >= sizeof partial) return ENAMETOOLONG;
    // A directory's mode must not depend on the mask of whoever started the agent.
    umask(022);
    for (size_t end = 1; end <= length; end++) {
        if (path[end] != '/' && path[end] != '\0') continue;
        memcpy(partial, path, end);
        partial[end] = '\0';
        if (mkdir(partial, 0755) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES) return errno;
    }
    return 0;
}

static int drop_capabilities(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    // A change of user clears the permitted set, but not the inheritable one.
    return syscall(SYS_capset, &header, none) < 0 ? errno : 0;
}

static void drop_bounding_set(void) {
    // Needs CAP_SETPCAP, which Docker's sandboxes do not have: no-new-privileges covers them.
    for (int capability = 0; capability < 64; capability++) {
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) return;
    }
}

static _Noreturn void exec_program(const struct execbox_spawn_request *request, int report) {
    char *const *arguments = (char *const *)request->arguments;
    char *const *environment = (char *const *)request->environment;
    const char *program = arguments[0];
    if (strchr(program, '/') != NULL) {
        execve(program, arguments, environment);
        int error = errno;
        if (error == ENOENT && access(program, F_OK) == 0) fail(report, EXECBOX_STAGE_INTERPRETER, error);
        fail(report, EXECBOX_STAGE_EXEC, error);
    }
    if (program[0] == '\0') fail(report, EXECBOX_STAGE_EXEC, ENOENT);
    size_t program_length = strlen(program);
    char candidate[PATH_LIMIT];
    int denied = 0;
    const char *folder = request->search_path;
    while (1) {
        const char *end = strchrnul(folder, ':');
        size_t length = (size_t)(end - folder);
        if (length + program_length + 2 <= sizeof candidate) {
            // An empty element means the working directory.
            size_t used = 0;
            if (length > 0) {
                memcpy(candidate, folder, length);
                candidate[length] = '/';
                used = length + 1;
            } else {
                candidate[0] = '.';
                candidate[1] = '/';
                used = 2;
            }
            if (used + program_length < sizeof candidate) {
                memcpy(candidate + used, program, program_length + 1);
                execve(candidate, arguments, environment);
                switch (errno) {
                case ENOENT:
                    if (access(candidate, F_OK) == 0) fail(report, EXECBOX_STAGE_INTERPRETER, ENOENT);
                    break;
                case ENOTDIR:
                case ENAMETOOLONG:
                case ELOOP:
                    break;
                case EACCES:
                    // A later folder may have one that can be run, as execvp does it.
                    denied = 1;
                    break;
                default:
                    fail(report, EXECBOX_STAGE_EXEC, errno);
                }
            }
        }
        if (*end == '\0') break;
        folder = end + 1;
    }
    fail(report, EXECBOX_STAGE_EXEC, denied ? EACCES : ENOENT);
}

static _Noreturn void run_child(const struct execbox_spawn_request *request, int report) {
    if (setsid() < 0) fail(report, EXECBOX_STAGE_SESSION, errno);
    reset_signals();
    if (request->is_terminal && ioctl(request->standard_input, TIOCSCTTY, 0) < 0) fail(report, EXECBOX_STAGE_TERMINAL, errno);
    if (dup2(request->standard_input, 0) < 0 || dup2(request->standard_output, 1) < 0 || dup2(request->standard_error, 2) < 0)
        fail(report, EXECBOX_STAGE_STDIO, errno);
#ifdef SYS_close_range
    // All of the agent's own descriptors close on exec; this is for one that somebody forgets. 4 is CLOSE_RANGE_CLOEXEC.
    syscall(SYS_close_range, 3u, ~0u, 4u);
#endif
    raise_oom_score();
    if (request->open_files.rlim_max > 0 && setrlimit(RLIMIT_NOFILE, &request->open_files) < 0)
        fail(report, EXECBOX_STAGE_LIMITS, errno);

    const char *directory = request->working_directory;
    if (request->creates_working_directory) {
        int error = make_directories(directory);
        if (error != 0) fail(report, EXECBOX_STAGE_MAKE_DIRECTORY, error);
    }
    umask(022);
    // As root first: a user may work in a folder whose parents it cannot enter.
    int in_directory = chdir(directory) == 0;
    int is_privileged = geteuid() == 0;
    if (is_privileged) {
        if (request->user != 0) drop_bounding_set();
        if (setgroups(request->group_count, request->groups) < 0) fail(report, EXECBOX_STAGE_GROUPS, errno);
    }
    if (setresgid(request->group, request->group, request->group) < 0) fail(report, EXECBOX_STAGE_GROUP, errno);
    if (setresuid(request->user, request->user, request->user) < 0) fail(report, EXECBOX_STAGE_USER, errno);
    if (is_privileged && request->user != 0) {
        int error = drop_capabilities();
        if (error != 0) fail(report, EXECBOX_STAGE_CAPABILITIES, error);
    }
    if (!in_directory && chdir(directory) < 0) fail(report, EXECBOX_STAGE_DIRECTORY, errno);
    exec_program(request, report);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/// Waits for the report pipe to close (1: the program runs), or for a failure (0).
static int await_report(int report, struct failure *failure) {
    int64_t deadline = now_ms() + PATIENCE_MS;
    size_t got = 0;
    while (got < sizeof *failure) {
        int64_t left = deadline - now_ms();
        struct pollfd waiting = {report, POLLIN, 0};
        int ready = left > 0 ? poll(&waiting, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) {
            *failure = (struct failure){EXECBOX_STAGE_SILENT, ETIMEDOUT};
            return 0;
        }
        ssize_t count = read(report, (char *)failure + got, sizeof *failure - got);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return got == 0;
        got += (size_t)count;
    }
    return 0;
}

struct execbox_spawn_result execbox_spawn(const struct execbox_spawn_request *request) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0) return (struct execbox_spawn_result){0, EXECBOX_STAGE_PIPE, errno};
    pid_t child = fork();
    if (child < 0) {
        int error = errno;
        close(report[0]);
        close(report[1]);
        return (struct execbox_spawn_result){0, EXECBOX_STAGE_FORK, error};
    }
    if (child == 0) {
        close(report[0]);
        run_child(request, report[1]);
    }
    close(report[1]);
    struct failure failure = {EXECBOX_STAGE_NONE, 0};
    int runs = await_report(report[0], &failure);
    close(report[0]);
    if (runs) return (struct execbox_spawn_result){child, EXECBOX_STAGE_NONE, 0};
    if (failure.stage == EXECBOX_STAGE_SILENT) kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    return (struct execbox_spawn_result){0, (enum execbox_spawn_stage)failure.stage, failure.error};
}
