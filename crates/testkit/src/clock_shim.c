/* Preloaded into a redis-server: moves its wall clock by the milliseconds that stand in a mapped file,
 * or holds it at the microseconds that stand behind them, if those are not zero.
 *
 * libfaketime is no help: under Debian's redis-server it and jemalloc call each other until the stack
 * ends. This one allocates nothing, and asks the kernel directly instead of the functions it replaces.
 * Monotonic clocks stay true, as they do when an administrator sets a real clock.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *ordered;

__attribute__((constructor)) static void map_orders(void) {
    const char *path = getenv("ZHONGKONG_CLOCK_OFFSET");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) ordered = page;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (syscall(SYS_clock_gettime, clock, now) != 0) return -1;
    if (ordered && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ms = ordered[0], held_us = ordered[1];
        if (held_us != 0) {
            now->tv_sec = held_us / 1000000;
            now->tv_nsec = (held_us % 1000000) * 1000;
            return 0;
        }
        now->tv_sec += ms / 1000;
        now->tv_nsec += (ms % 1000) * 1000000;
        if (now->tv_nsec < 0) { now->tv_nsec += 1000000000; now->tv_sec -= 1; }
        if (now->tv_nsec >= 1000000000) { now->tv_nsec -= 1000000000; now->tv_sec += 1; }
    }
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0) return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0) return -1;
    if (now) *now = precise.tv_sec;
    return precise.tv_sec;
}

/* Valkey 9.1 asks for the time once a millisecond, and adds what the processor's counter says, which no shim can hold.
 * Where it cannot learn here that there is such a counter, it asks each time. (On ARM it does not look.) */
static FILE *opened(const char *function, const char *path, const char *mode) {
    if (strcmp(path, "/proc/cpuinfo") == 0) {
        errno = ENOENT;
        return NULL;
    }
    FILE *(*next)(const char *, const char *) = dlsym(RTLD_NEXT, function);
    return next(path, mode);
}

FILE *fopen(const char *restrict path, const char *restrict mode) { return opened("fopen", path, mode); }

FILE *fopen64(const char *restrict path, const char *restrict mode) { return opened("fopen64", path, mode); }
