/* Faults in the calls by which a process opens, reads, writes, syncs, renames, removes and locks files.
 *
 *     gcc -shared -fPIC -O1 -o faults.so faults.c -ldl
 *     LD_PRELOAD=$PWD/faults.so FAULT_ROOTS=/a:/b FAULT=write:12:28 program
 *
 * Only calls on files below FAULT_ROOTS count, so the start of an interpreter is no target.
 *
 * FAULT=KIND:N:ERRNO      the N-th call of a kind fails with that number; with a + after N, all later ones do too
 * FAULT=KIND:N:kill       the process group is killed at the N-th call, and with it that of the first program that had
 *                         the library, since a job may run in another; of a write, half is done
 * FAULT_GROUP=0           kills the job's own group alone
 * FAULT_COUNTS=FILE       the counts of all processes together, in a file of zeros that is there; else each its own
 * FAULT_RECORD=FILE       every call that changed a file is appended, with its data
 *
 * A process can do the same for itself by fault_roots(), fault_arm(), fault_counts() and fault_record().
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE, SYNC, RENAME, OPEN, UNLINK, LOCK, READ, TRUNCATE, MKDIR, CHANGE, KINDS };
static const char *const names[KINDS] = {"write", "sync",     "rename", "open",  "unlink",
                                         "lock",  "read", "truncate", "mkdir", "change"};
enum { KILL = -1, MAX_PATH = 4096 };

static uint64_t own_counts[KINDS], *counts = own_counts;
static char roots[4 * MAX_PATH];
static int armed = -1, action, onwards, recording = -1, first_group = 0;
static uint64_t at;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

void fault_roots(const char *paths) { snprintf(roots, sizeof roots, "%s", paths); }

/* The n-th call from now fails, of a kind by its name; an unknown name disarms. */
void fault_arm(const char *kind, uint64_t n, int number, int all_later) {
    armed = -1;
    memset(own_counts, 0, sizeof own_counts);
    for (int one = 0; one < KINDS; one++)
        if (!strcmp(kind, names[one])) armed = one;
    at = n, action = number, onwards = all_later;
}

void fault_counts(uint64_t *to) { memcpy(to, counts, sizeof own_counts); }

void fault_record(const char *file) {
    int fd = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CLOEXEC);
    recording = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900); /* out of the way of programs that close files */
    syscall(SYS_close, fd);
}

__attribute__((constructor)) static void start(void) {
    const char *given = getenv("FAULT_ROOTS"), *fault = getenv("FAULT"), *file = getenv("FAULT_COUNTS");
    if (given) fault_roots(given);
    if (fault) {
        char kind[16], plus[2] = "", what[16];
        unsigned long long n;
        if (sscanf(fault, "%15[a-z]:%llu%1[+]:%15s", kind, &n, plus, what) != 4 &&
            (plus[0] = 0, sscanf(fault, "%15[a-z]:%llu:%15s", kind, &n, what) != 3))
            abort();
        fault_arm(kind, n, strcmp(what, "kill") ? atoi(what) : KILL, plus[0] != 0);
        if (action == KILL) {
            char group[16];
            snprintf(group, sizeof group, "%d", getpgrp());
            setenv("FAULT_GROUP", group, 0);
            first_group = atoi(getenv("FAULT_GROUP"));
        }
    }
    if (file) {
        int fd = syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC);
        void *shared = mmap(NULL, sizeof own_counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (fd < 0 || shared == MAP_FAILED) abort();
        counts = shared;
        syscall(SYS_close, fd);
    }
    if ((file = getenv("FAULT_RECORD"))) fault_record(file);
}

static int below_a_root(const char *full) {
    for (const char *root = roots; *root; root += *root == ':') {
        const char *end = strchrnul(root, ':');
        size_t size = end - root;
        if (size && !strncmp(full, root, size) && (full[size] == '/' || !full[size])) return 1;
        root = end;
    }
    return 0;
}

/* Whether a name is below a root; `full` gets it from the top. */
static int named(int folder, const char *path, char *full) {
    char link[64];
    ssize_t length = 0;
    if (!roots[0] || !path) return 0;
    if (path[0] != '/') {
        snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
        length = readlink(link, full, MAX_PATH - 2);
        if (length < 0) return 0;
        if (path[0]) full[length++] = '/';
    }
    snprintf(full + length, MAX_PATH - length, "%s", path);
    return below_a_root(full);
}

static int of_file(int fd, char *full) {
    char link[64];
    if (!roots[0] || fd == recording) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, full, MAX_PATH - 1);
    if (length < 0) return 0;
    full[length] = 0;
    return below_a_root(full);
}

/* Count a call; says whether it is to fail, with errno set. `half` is what a killed process still does. */
static int one_fails(enum kind kind) {
    uint64_t count = __atomic_add_fetch(&counts[kind], 1, __ATOMIC_SEQ_CST);
    return armed == (int)kind && (onwards ? count >= at : count == at);
}

static void die(void) {
    if (first_group > 1) kill(-first_group, SIGKILL);
    kill(0, SIGKILL);
    pause();
}

static int fails(enum kind kind, int fd, const void *half, size_t length) {
    int hit = one_fails(kind);
    if (kind != READ && kind != LOCK && kind != SYNC && one_fails(CHANGE)) hit = 1;
    if (!hit) return 0;
    if (action == KILL) {
        if (half) syscall(SYS_write, fd, half, length / 2);
        die();
    }
    errno = action;
    return 1;
}

/* Append a call that has been done: a line of its name, a number, the length of the data, the names; then the data. */
static void note(const char *what, const char *path, const char *to, long long number, const void *data, size_t length) {
    if (recording < 0) return;
    int before = errno;
    char head[3 * MAX_PATH];
    int size = snprintf(head, sizeof head, "%s\t%lld\t%zu\t%s\t%s\n", what, number, length, path, to);
    struct iovec parts[2] = {{head, size}, {(void *)data, length}};
    syscall(SYS_writev, recording, parts, 2);
    errno = before;
}

static void note_write(int fd, const char *full, const void *data, ssize_t done, long long offset) {
    if (recording < 0 || done <= 0) return;
    note("write", full, "", offset >= 0 ? offset : (long long)syscall(SYS_lseek, fd, 0, SEEK_CUR) - done, data, done);
}

ssize_t write(int fd, const void *data, size_t length) {
    REAL(write);
    char full[MAX_PATH];
    if (!of_file(fd, full)) return real(fd, data, length);
    if (fails(WRITE, fd, data, length)) return -1;
    ssize_t done = real(fd, data, length);
    note_write(fd, full, data, done, -1);
    return done;
}

#define PWRITE(name, offset_type) \
    ssize_t name(int fd, const void *data, size_t length, offset_type offset) { \
        REAL(name); \
        char full[MAX_PATH]; \
        if (!of_file(fd, full)) return real(fd, data, length, offset); \
        if (fails(WRITE, fd, NULL, 0)) return -1; \
        ssize_t done = real(fd, data, length, offset); \
        note_write(fd, full, data, done, offset); \
        return done; \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    char full[MAX_PATH];
    if (!of_file(fd, full)) return real(fd, parts, count);
    ssize_t total = 0;
    if (recording < 0) return fails(WRITE, fd, NULL, 0) ? -1 : real(fd, parts, count);
    for (int part = 0; part < count; part++) { /* one by one, so that each is recorded */
        ssize_t done = write(fd, parts[part].iov_base, parts[part].iov_len);
        if (done < 0) return total ? total : -1;
        total += done;
    }
    return total;
}

/* Copies within the kernel: recorded as what they wrote; a caller that cannot have them writes by itself. */
#define COPY(name, declared, passed, to_fd) \
    ssize_t name declared { \
        REAL(name); \
        char full[MAX_PATH]; \
        if (!of_file(to_fd, full)) return real passed; \
        if (recording >= 0) return errno = EINVAL, -1; \
        return fails(WRITE, to_fd, NULL, 0) ? -1 : real passed; \
    }
COPY(sendfile, (int to, int from, off_t *offset, size_t length), (to, from, offset, length), to)
COPY(sendfile64, (int to, int from, off64_t *offset, size_t length), (to, from, offset, length), to)
COPY(copy_file_range, (int from, off64_t *in, int to, off64_t *out, size_t length, unsigned flags),
     (from, in, to, out, length, flags), to)

#define READING(name, declared, passed) \
    ssize_t name declared { \
        REAL(name); \
        char full[MAX_PATH]; \
        return of_file(fd, full) && fails(READ, fd, NULL, 0) ? -1 : real passed; \
    }
READING(read, (int fd, void *data, size_t length), (fd, data, length))
READING(pread, (int fd, void *data, size_t length, off_t offset), (fd, data, length, offset))
READING(pread64, (int fd, void *data, size_t length, off64_t offset), (fd, data, length, offset))

#define SYNCING(name) \
    int name(int fd) { \
        REAL(name); \
        char full[MAX_PATH]; \
        if (!of_file(fd, full)) return real(fd); \
        if (fails(SYNC, fd, NULL, 0)) return -1; \
        int done = real(fd); \
        if (!done) note("sync", full, "", 0, NULL, 0); \
        return done; \
    }
SYNCING(fsync)
SYNCING(fdatasync)

#define TRUNCATING(name, length_type) \
    int name(int fd, length_type length) { \
        REAL(name); \
        char full[MAX_PATH]; \
        if (!of_file(fd, full)) return real(fd, length); \
        if (fails(TRUNCATE, fd, NULL, 0)) return -1; \
        int done = real(fd, length); \
        if (!done) note("truncate", full, "", length, NULL, 0); \
        return done; \
    }
TRUNCATING(ftruncate, off_t)
TRUNCATING(ftruncate64, off64_t)

/* Calls with two names: `what` is how it is recorded. */
#define TWO_NAMES(name, declared, passed, from_folder, to_folder, what) \
    int name declared { \
        REAL(name); \
        char full[MAX_PATH], other[MAX_PATH]; \
        int ours = named(from_folder, from, full); \
        ours |= named(to_folder, to, other) << 1; \
        if (!ours) return real passed; \
        if (fails(RENAME, 0, NULL, 0)) return -1; \
        int done = real passed; \
        if (!done) note(what, full, other, 0, NULL, 0); \
        return done; \
    }
TWO_NAMES(rename, (const char *from, const char *to), (from, to), AT_FDCWD, AT_FDCWD, "rename")
TWO_NAMES(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), a, b, "rename")
TWO_NAMES(link, (const char *from, const char *to), (from, to), AT_FDCWD, AT_FDCWD, "link")
TWO_NAMES(linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags), a, b, "link")

#define ONE_NAME(name, declared, passed, folder, kind, what) \
    int name declared { \
        REAL(name); \
        char full[MAX_PATH]; \
        if (!named(folder, path, full)) return real passed; \
        if (fails(kind, 0, NULL, 0)) return -1; \
        int done = real passed; \
        if (!done) note(what, full, "", 0, NULL, 0); \
        return done; \
    }
ONE_NAME(unlink, (const char *path), (path), AT_FDCWD, UNLINK, "unlink")
ONE_NAME(remove, (const char *path), (path), AT_FDCWD, UNLINK, "unlink")
ONE_NAME(unlinkat, (int folder, const char *path, int flags), (folder, path, flags), folder, UNLINK, "unlink")
ONE_NAME(rmdir, (const char *path), (path), AT_FDCWD, UNLINK, "unlink")
ONE_NAME(mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, MKDIR, "mkdir")
ONE_NAME(mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode), folder, MKDIR, "mkdir")

/* Opening: a file that was not there, or is emptied, is recorded as made. */
static int opened(int (*real)(int, const char *, int, ...), int folder, const char *path, int flags, mode_t mode) {
    char full[MAX_PATH];
    if (!named(folder, path, full)) return real(folder, path, flags, mode);
    int made = (flags & O_CREAT) && syscall(SYS_faccessat, folder, path, F_OK, 0);
    /* Only what makes a file changes anything. */
    int hit = one_fails(OPEN);
    if ((made || (flags & O_TRUNC)) && one_fails(CHANGE)) hit = 1;
    if (hit) {
        if (action == KILL) die();
        return errno = action, -1;
    }
    int fd = real(folder, path, flags, mode);
    if (fd >= 0 && made) note("create", full, "", 0, NULL, 0);
    if (fd >= 0 && !made && (flags & O_TRUNC)) note("truncate", full, "", 0, NULL, 0);
    return fd;
}

#define MODE \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    }
#define OPEN_AT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(name); \
        MODE return opened(real, folder, path, flags, mode); \
    }
#define OPEN_HERE(name, by) \
    int name(const char *path, int flags, ...) { \
        REAL(by); \
        MODE return opened(real, AT_FDCWD, path, flags, mode); \
    }
OPEN_AT(openat)
OPEN_AT(openat64)
OPEN_HERE(open, openat)
OPEN_HERE(open64, openat64)
int __open_2(const char *path, int flags) { return open(path, flags); }
int __open64_2(const char *path, int flags) { return open64(path, flags); }
int __openat_2(int folder, const char *path, int flags) { return openat(folder, path, flags); }
int __openat64_2(int folder, const char *path, int flags) { return openat64(folder, path, flags); }
int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        char full[MAX_PATH]; \
        return named(AT_FDCWD, path, full) && fails(OPEN, 0, NULL, 0) ? NULL : real(path, mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

int flock(int fd, int operation) {
    REAL(flock);
    char full[MAX_PATH];
    int releases = (operation & ~LOCK_NB) == LOCK_UN; /* which cannot fail */
    return !releases && of_file(fd, full) && fails(LOCK, fd, NULL, 0) ? -1 : real(fd, operation);
}

#define FCNTL(name) \
    int name(int fd, int command, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, command); \
        void *argument = va_arg(more, void *); \
        va_end(more); \
        int locks = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW; \
        char full[MAX_PATH]; \
        if (locks && ((struct flock *)argument)->l_type != F_UNLCK && of_file(fd, full) && fails(LOCK, fd, NULL, 0)) \
            return -1; \
        return real(fd, command, argument); \
    }
FCNTL(fcntl)
FCNTL(fcntl64)
