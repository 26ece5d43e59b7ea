// libpq and the few Linux calls beside it that Swift cannot import by itself:
// character macros, and headers that are not part of the Glibc module.

#ifndef EXECBOX_CLIBPQ_SHIM_H
#define EXECBOX_CLIBPQ_SHIM_H

#include <libpq-fe.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

// PG_DIAG_* are character literals, which the Swift importer skips.
static inline int execbox_pq_diag_sqlstate(void) { return PG_DIAG_SQLSTATE; }
static inline int execbox_pq_diag_message(void) { return PG_DIAG_MESSAGE_PRIMARY; }
static inline int execbox_pq_diag_detail(void) { return PG_DIAG_MESSAGE_DETAIL; }
static inline int execbox_pq_diag_hint(void) { return PG_DIAG_MESSAGE_HINT; }
static inline int execbox_pq_diag_position(void) { return PG_DIAG_STATEMENT_POSITION; }
static inline int execbox_pq_diag_context(void) { return PG_DIAG_CONTEXT; }
static inline int execbox_pq_diag_constraint(void) { return PG_DIAG_CONSTRAINT_NAME; }

// Names the calling thread; the kernel keeps 15 bytes. (pthread_setname_np needs _GNU_SOURCE.)
static inline void execbox_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

// glibc declares these under _GNU_SOURCE only.
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);
extern int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *, const char *);
extern int pipe2(int[2], int);

// POSIX_SPAWN_SETSID: the child leads a session of its own.
static inline short execbox_spawn_setsid(void) { return 0x80; }

static inline int execbox_spawn_close_from(posix_spawn_file_actions_t *actions, int first) {
    return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

static inline int execbox_spawn_directory(posix_spawn_file_actions_t *actions, const char *path) {
    return posix_spawn_file_actions_addchdir_np(actions, path);
}

static inline int execbox_pipe(int ends[2], int flags) { return pipe2(ends, flags); }

// A non-blocking, close-on-exec event descriptor, or -1 with errno set.
static inline int execbox_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

// A request to cancel what a connection is running, made on the connection's thread and sent from another. Sending blocks until the
// server has taken it (it closes the cancel connection), so waiting for it keeps a cancel from hitting the statement after.
// libpq 17 keeps the TLS settings of the connection; older ones send the cancel key in clear text.
typedef struct execbox_pq_cancel execbox_pq_cancel;

static inline execbox_pq_cancel *execbox_pq_cancel_prepare(PGconn *connection) {
#ifdef LIBPQ_HAS_ASYNC_CANCEL
    return (execbox_pq_cancel *)PQcancelCreate(connection);
#else
    return (execbox_pq_cancel *)PQgetCancel(connection);
#endif
}

// 1 on success.
static inline int execbox_pq_cancel_send(execbox_pq_cancel *request) {
#ifdef LIBPQ_HAS_ASYNC_CANCEL
    return PQcancelBlocking((PGcancelConn *)request);
#else
    char error[256];
    return PQcancel((PGcancel *)request, error, sizeof error);
#endif
}

static inline void execbox_pq_cancel_free(execbox_pq_cancel *request) {
#ifdef LIBPQ_HAS_ASYNC_CANCEL
    PQcancelFinish((PGcancelConn *)request);
#else
    PQfreeCancel((PGcancel *)request);
#endif
}

#endif
