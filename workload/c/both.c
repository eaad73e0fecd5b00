/*
 * Two allocators in one process: jemalloc, which takes malloc's place, and
 * glibc's malloc under the names that it keeps for itself.
 *
 *     gcc -O2 -o both both.c && LD_PRELOAD=libjemalloc.so.2 ./both
 *
 * Prints what each says of itself, bytes, at the start and at the end; waits
 * for a line after either.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define SMALL 512
#define LARGE 8

extern void *__libc_malloc(size_t);
extern void __libc_free(void *);

static int (*control)(const char *, void *, size_t *, void *, size_t);

static size_t figure(const char *name)
{
    size_t value = 0, size = sizeof value;
    control(name, &value, &size, NULL, 0);
    return value;
}

static void tell(const char *when)
{
    unsigned long epoch = 1;
    struct mallinfo2 glibc = mallinfo2();
    control("epoch", NULL, NULL, &epoch, sizeof epoch);
    dprintf(STDOUT_FILENO,
            "{\"action\":\"%s\",\"jemalloc\":{\"mapped\":%zu,\"retained\":%zu},"
            "\"glibc\":{\"arena\":%zu,\"hblkhd\":%zu}}\n",
            when, figure("stats.mapped"), figure("stats.retained"), glibc.arena, glibc.hblkhd);
}

static void wait_for_line(void)
{
    char c;
    while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
        ;
}

static void touch(char *block, size_t length)
{
    for (size_t at = 0; at < length; at += 4 * KIB)
        ((volatile char *)block)[at] = 1;
}

/* Takes blocks by turns from one and the other, then frees every second one. */
static void run(void)
{
    static char *small[2][SMALL], *large[2][LARGE];
    for (int i = 0; i < SMALL; i++) {
        touch(small[0][i] = malloc(64 * KIB), 64 * KIB);
        touch(small[1][i] = __libc_malloc(64 * KIB), 64 * KIB);
    }
    for (int i = 0; i < LARGE; i++) {
        touch(large[0][i] = malloc(12 * MIB), 12 * MIB);
        touch(large[1][i] = __libc_malloc(12 * MIB), 12 * MIB);
    }
    for (int i = 0; i < SMALL; i += 2) {
        free(small[0][i]);
        __libc_free(small[1][i]);
    }
    for (int i = 0; i < LARGE; i += 2) {
        free(large[0][i]);
        __libc_free(large[1][i]);
    }
}

int main(void)
{
    *(void **)&control = dlsym(RTLD_DEFAULT, "mallctl");
    if (control == NULL) {
        dprintf(STDERR_FILENO, "both: preload jemalloc\n");
        return 2;
    }
    /* Both are set up before the first figures. */
    free(malloc(1));
    __libc_free(__libc_malloc(1));
    tell("start");
    wait_for_line();
    run();
    tell("end");
    wait_for_line();
    return 0;
}
