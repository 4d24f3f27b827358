/* Preloaded into a job: writes down what it puts on the disk, and what its folder holds whenever it names a file.
 *
 * POWER_CUT_LOG takes a line for each of these, POWER_CUT_ROOT is the folder that is looked at:
 *   synced  <inode> <mtime in ns> <size>             a file's content is on the disk
 *   entries <inode> <name>...                        a folder's entries are
 *   named   <old path> <new path>                    a rename or a link, followed by what the folder held just before
 *   holds   <inode> <mtime in ns> <size> <d|f> <path>
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void tell(const char *format, ...) {
    char line[8192];
    const char *log = getenv("POWER_CUT_LOG");
    if (!log) return;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    int file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0 || length >= (int)sizeof line || write(file, line, length) != length) abort();
    close(file);
}

static long long nanoseconds(const struct stat *state) {
    return state->st_mtim.tv_sec * 1000000000LL + state->st_mtim.tv_nsec;
}

static int holds(const char *path, const struct stat *state, int kind, struct FTW *place) {
    (void)kind, (void)place;
    tell("holds\t%llu\t%lld\t%lld\t%c\t%s\n", (unsigned long long)state->st_ino, nanoseconds(state),
         (long long)state->st_size, S_ISDIR(state->st_mode) ? 'd' : 'f', path);
    return 0;
}

static void naming(const char *from, const char *to) {
    const char *root = getenv("POWER_CUT_ROOT");
    if (!root || strncmp(to, root, strlen(root))) return;
    tell("named\t%s\t%s\n", from, to);
    nftw(root, holds, 16, FTW_PHYS);
}

static void synced(int descriptor) {
    struct stat state;
    if (fstat(descriptor, &state)) return;
    if (!S_ISDIR(state.st_mode)) {
        tell("synced\t%llu\t%lld\t%lld\n", (unsigned long long)state.st_ino, nanoseconds(&state), (long long)state.st_size);
        return;
    }
    char line[8192];
    size_t length = snprintf(line, sizeof line, "entries\t%llu", (unsigned long long)state.st_ino);
    int again = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fdopendir(again);
    for (struct dirent *entry; (entry = readdir(folder));)
        length += snprintf(line + length, sizeof line - length, "\t%s", entry->d_name);
    closedir(folder);
    tell("%s\n", line);
}

int fsync(int descriptor) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    int result = real(descriptor);
    if (!result) synced(descriptor);
    return result;
}

int fdatasync(int descriptor) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    int result = real(descriptor);
    if (!result) synced(descriptor);
    return result;
}

int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    naming(from, to);
    return real(from, to);
}

int link(const char *from, const char *to) {
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "link");
    naming(from, to);
    return real(from, to);
}
