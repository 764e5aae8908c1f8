/* Makes chosen calls on chosen files slow, or fail: a disk that is busy, remote or old. It is preloaded into the program
 * (LD_PRELOAD). tests/larder/support/slow.rs compiles it and writes its rules.
 *
 * SLOW_DISK names a file of RULES bytes, which is mapped, so that the rules can change while the program runs. A rule is one
 * line of three words: a call, a part of the file's path, and what happens:
 *
 *     unlink /live/ 8        each unlink of a file below live/ begins 8 milliseconds later
 *     link / EPERM           each link fails with EPERM
 *
 * The calls are unlink, sync (fsync, fdatasync), write (write, writev, pwrite, pwritev), open and link. A zero byte ends the
 * rules. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RULES 4096
#define NEXT(name) ((__typeof__(&name)) next(#name))

static const volatile char *rules;

static void *next(const char *name) {
    void *call = dlsym(RTLD_NEXT, name);
    if (call == NULL) {
        abort();
    }
    return call;
}

__attribute__((constructor)) static void map_rules(void) {
    const char *path = getenv("SLOW_DISK");
    int file = path == NULL ? -1 : NEXT(open)(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return;
    }
    void *mapped = mmap(NULL, RULES, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) {
        rules = mapped;
    }
}

/* Does what the rules say of a call on a file. Returns true if the call must fail; errno is set then. */
static int is_refused(const char *call, const char *path) {
    char copy[RULES + 1], *rest = copy, *line;
    for (size_t at = 0; at <= RULES; at++) {
        copy[at] = at == RULES ? 0 : rules[at];
        if (copy[at] == 0) {
            break;
        }
    }
    while ((line = strsep(&rest, "\n")) != NULL) {
        char of_call[16], part[256], effect[16];
        if (sscanf(line, "%15s %255s %15s", of_call, part, effect) != 3 || strcmp(of_call, call) != 0 ||
            strstr(path, part) == NULL) {
            continue;
        }
        if (strcmp(effect, "EPERM") == 0) {
            errno = EPERM;
            return 1;
        }
        long milliseconds = atol(effect);
        struct timespec delay = {milliseconds / 1000, milliseconds % 1000 * 1000000};
        while (nanosleep(&delay, &delay) != 0) {
        }
    }
    return 0;
}

/* Returns false, at little cost, if no rule is about this call. */
static int is_named(const char *call) {
    return rules != NULL && rules[0] != 0 && strstr((const char *) rules, call) != NULL;
}

/* The same for a file's name in an open folder, or, without a name, for an open file. */
static int refused_at(const char *call, int folder, const char *name) {
    char path[PATH_MAX * 2] = "", link[64];
    if (!is_named(call)) {
        return 0;
    }
    if (name == NULL || name[0] != '/') {
        snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, path, PATH_MAX);
        path[length < 0 ? 0 : length] = 0;
    }
    if (name != NULL) {
        size_t length = strlen(path);
        snprintf(path + length, sizeof path - length, "%s%s", length > 0 ? "/" : "", name);
    }
    return is_refused(call, path);
}

int unlink(const char *path) {
    return refused_at("unlink", AT_FDCWD, path) ? -1 : NEXT(unlink)(path);
}

int unlinkat(int folder, const char *name, int flags) {
    return refused_at("unlink", folder, name) ? -1 : NEXT(unlinkat)(folder, name, flags);
}

int fsync(int file) {
    return refused_at("sync", file, NULL) ? -1 : NEXT(fsync)(file);
}

int fdatasync(int file) {
    return refused_at("sync", file, NULL) ? -1 : NEXT(fdatasync)(file);
}

ssize_t write(int file, const void *bytes, size_t length) {
    return refused_at("write", file, NULL) ? -1 : NEXT(write)(file, bytes, length);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    return refused_at("write", file, NULL) ? -1 : NEXT(writev)(file, parts, count);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) {
    return refused_at("write", file, NULL) ? -1 : NEXT(pwrite)(file, bytes, length, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    return refused_at("write", file, NULL) ? -1 : NEXT(pwrite64)(file, bytes, length, at);
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t at) {
    return refused_at("write", file, NULL) ? -1 : NEXT(pwritev)(file, parts, count, at);
}

ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t at) {
    return refused_at("write", file, NULL) ? -1 : NEXT(pwritev64)(file, parts, count, at);
}

/* Declares the mode, which is there only if the flags say that a file may be made. */
#define MODE(flags, mode) \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = (flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0; \
    va_end(rest)

int open(const char *path, int flags, ...) {
    MODE(flags, mode);
    return refused_at("open", AT_FDCWD, path) ? -1 : NEXT(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, mode);
    return refused_at("open", AT_FDCWD, path) ? -1 : NEXT(open64)(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE(flags, mode);
    return refused_at("open", folder, path) ? -1 : NEXT(openat)(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags, mode);
    return refused_at("open", folder, path) ? -1 : NEXT(openat64)(folder, path, flags, mode);
}

int link(const char *from, const char *to) {
    return refused_at("link", AT_FDCWD, from) ? -1 : NEXT(link)(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    return refused_at("link", from_folder, from) ? -1 : NEXT(linkat)(from_folder, from, to_folder, to, flags);
}
