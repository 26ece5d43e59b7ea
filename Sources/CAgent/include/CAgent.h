// What the agent needs in C: everything that runs between fork and exec, and calls that Swift cannot make (variadic ones, macros).
#ifndef EXECBOX_CAGENT_H
#define EXECBOX_CAGENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

enum execbox_spawn_stage {
    EXECBOX_STAGE_NONE = 0,
    EXECBOX_STAGE_PIPE,
    EXECBOX_STAGE_FORK,
    EXECBOX_STAGE_SESSION,
    EXECBOX_STAGE_TERMINAL,
    EXECBOX_STAGE_STDIO,
    EXECBOX_STAGE_LIMITS,
    EXECBOX_STAGE_MAKE_DIRECTORY,
    EXECBOX_STAGE_DIRECTORY,
    EXECBOX_STAGE_GROUPS,
    EXECBOX_STAGE_GROUP,
    EXECBOX_STAGE_USER,
    EXECBOX_STAGE_CAPABILITIES,
    EXECBOX_STAGE_EXEC,
    /// The file is there; what it names as its interpreter or loader is not.
    EXECBOX_STAGE_INTERPRETER,
    /// The child said nothing in time, as when something in the sandbox stopped it; it was killed.
    EXECBOX_STAGE_SILENT,
};

struct execbox_spawn_request {
    /// Null-terminated lists.
    const char *const *arguments;
    const char *const *environment;
    /// Where a program without a slash is looked for.
    const char *search_path;
    const char *working_directory;
    int creates_working_directory;
    uint32_t user;
    uint32_t group;
    const uint32_t *groups;
    size_t group_count;
    /// All above 2.
    int standard_input;
    int standard_output;
    int standard_error;
    /// Standard input becomes the controlling terminal.
    int is_terminal;
    struct rlimit open_files;
};

struct execbox_spawn_result {
    /// 0 if nothing was started.
    pid_t pid;
    enum execbox_spawn_stage stage;
    int error;
};

/// Starts a process in a session of its own and returns once it runs the program or has failed to, and is reaped then.
///
/// The caller has one thread, and all signals blocked.
struct execbox_spawn_result execbox_spawn(const struct execbox_spawn_request *request);

/// The next file descriptor of a new pseudo-terminal's pair; both close on exec. 0 or an errno.
int execbox_open_terminal(int *master, int *slave, uint16_t columns, uint16_t rows, uint32_t owner);
int execbox_resize_terminal(int master, uint16_t columns, uint16_t rows);
/// The line discipline's end-of-file character; -1 unless the terminal reads by lines.
int execbox_terminal_end_of_file(int master);

/// Both ends close on exec. 0 or an errno.
int execbox_pipe(int *read_end, int *write_end);
/// To `size` bytes, or as near to it as the kernel allows.
void execbox_enlarge_pipe(int descriptor, int size);
/// How many bytes a read would get now; 0 if unknown.
size_t execbox_readable_bytes(int descriptor);
/// A socket's bytes that the peer has not taken, in the measure of `execbox_send_buffer`; 0 if unknown.
size_t execbox_unsent_bytes(int descriptor);
/// What a socket takes before it is full, the kernel's own overhead included.
size_t execbox_send_buffer(int descriptor);

/// Whether a file's bytes go past the page cache from now on: in whole, aligned blocks of 4 KiB. 0 or an errno.
int execbox_set_direct(int file, int is_direct);
int execbox_become_subreaper(void);
int execbox_become_undumpable(void);
/// Everything from `first` on, whatever was inherited.
void execbox_close_from(int first);
/// 0 or an errno.
int execbox_random(void *bytes, size_t count);
/// Returns memory that stays untouched until written to; NULL if there is none.
void *execbox_map(size_t length);
void execbox_unmap(void *memory, size_t length);
/// Sends SIGKILL to every descendant of the calling process; what is not one of them stays.
void execbox_kill_descendants(void);
/// Keeps large blocks out of the heap, so that freeing them gives them back.
void execbox_tune_allocator(void);

/// SHA-256 (FIPS 180-4), piece by piece.
struct execbox_sha256 {
    uint32_t state[8];
    uint64_t length;
    uint8_t block[64];
};
void execbox_sha256_begin(struct execbox_sha256 *hash);
void execbox_sha256_update(struct execbox_sha256 *hash, const void *bytes, size_t count);
void execbox_sha256_end(struct execbox_sha256 *hash, uint8_t digest[32]);

int execbox_exited(int status);
int execbox_exit_code(int status);
int execbox_term_signal(int status);

#endif
