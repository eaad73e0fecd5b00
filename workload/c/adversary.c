/*
 * Programs made to deceive whoever explains memory: what one does looks like
 * what another one does. Each waits for a line, acts, prints "end" and waits
 * for the end of its input.
 *
 *     gcc -O2 -o adversary adversary.c && ./adversary leak
 *
 * Sizes are small: it is the pattern that counts.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)4096)

static void say(const char *text)
{
    dprintf(STDOUT_FILENO, "%s\n", text);
}

static void wait_for_line(void)
{
    char c;
    while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
        ;
}

static void nap(long milliseconds)
{
    struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
    nanosleep(&time, NULL);
}

static void touch(char *start, size_t length)
{
    for (size_t at = 0; at < length; at += PAGE)
        ((volatile char *)start)[at] = 1;
}

static char *map(size_t length, int protection, int flags)
{
    char *start = mmap(NULL, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (start == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return start;
}

static char *take(size_t length)
{
    char *block = malloc(length);
    if (block == NULL) {
        perror("malloc");
        exit(1);
    }
    return block;
}

/* Blocks of 64 KiB, never freed, a little all the time. */
static void leak(void)
{
    for (int i = 0; i < 600; i++) {
        touch(take(64 * KIB), 64 * KIB);
        nap(8);
    }
}

/*
 * Large blocks that are held and were never written: VmSize without RSS, as
 * after a purge, but nothing was freed.
 */
static char *volatile held[8];
static void leak_like_retention(void)
{
    for (int i = 0; i < 8; i++)
        held[i] = take(64 * MIB);
}

/*
 * The same growth as a leak, but at the end all of it is freed, except for the
 * last small block, which keeps the heap from shrinking.
 */
static void retention_like_leak(void)
{
    static char *blocks[600];
    for (int i = 0; i < 600; i++) {
        blocks[i] = take(64 * KIB);
        touch(blocks[i], 64 * KIB);
        nap(8);
    }
    held[0] = take(4 * KIB);
    for (int i = 0; i < 600; i++)
        free(blocks[i]);
}

/* A cache that fills up and is full: grows like a leak, then no more. */
static void cache_that_fills(void)
{
    for (int i = 0; i < 200; i++) {
        touch(map(256 * KIB, PROT_READ | PROT_WRITE, 0), 256 * KIB);
        nap(5);
    }
    nap(3000);
}

/* A pool of its own: chunks by mmap, blocks out of them, never unmapped. */
static void own_pool(void)
{
    char *chunks[8];
    for (int i = 0; i < 8; i++) {
        chunks[i] = map(16 * MIB, PROT_READ | PROT_WRITE, 0);
        touch(chunks[i], 16 * MIB);
    }
    /* "Freed" into the pool: no call, so nobody can know. */
}

/* The program itself gives pages back and keeps the addresses. */
static void own_purge(void)
{
    char *memory = map(128 * MIB, PROT_READ | PROT_WRITE, 0);
    touch(memory, 128 * MIB);
    madvise(memory, 128 * MIB, MADV_DONTNEED);
}

/* Reserved without access, made accessible bit by bit, as arenas are. */
static void own_arena(void)
{
    char *memory = map(1024 * MIB, PROT_NONE, MAP_NORESERVE);
    for (size_t at = 0; at < 32 * MIB; at += MIB) {
        mprotect(memory + at, MIB, PROT_READ | PROT_WRITE);
        touch(memory + at, MIB);
    }
}

/* Given back, then written again: no call tells of that. */
static void purge_and_reuse(void)
{
    char *memory = map(128 * MIB, PROT_READ | PROT_WRITE, 0);
    madvise(memory, 128 * MIB, MADV_NOHUGEPAGE);
    touch(memory, 128 * MIB);
    madvise(memory, 128 * MIB, MADV_DONTNEED);
    touch(memory, 128 * MIB);
}

/* Freed to the allocator, which gives it back, then taken and written again. */
static void free_and_reuse(void)
{
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 4; i++) {
            held[i] = take(32 * MIB);
            touch(held[i], 32 * MIB);
        }
        for (int i = 0; i < 4 && round == 0; i++)
            free(held[i]);
    }
}

/* Offered lazily, then written again: no call tells of that either. */
static void offer_and_reuse(void)
{
    char *memory = map(128 * MIB, PROT_READ | PROT_WRITE, 0);
    madvise(memory, 128 * MIB, MADV_NOHUGEPAGE);
    touch(memory, 128 * MIB);
    madvise(memory, 128 * MIB, MADV_FREE);
    touch(memory, 128 * MIB);
}

/* Given back, then one byte in each huge page written: all of it is back. */
static void huge_regrowth(void)
{
    char *memory = map(66 * MIB, PROT_READ | PROT_WRITE, 0);
    memory = (char *)(((size_t)memory + 2 * MIB - 1) & ~(2 * MIB - 1));
    madvise(memory, 64 * MIB, MADV_HUGEPAGE);
    touch(memory, 64 * MIB);
    madvise(memory, 64 * MIB, MADV_DONTNEED);
    for (size_t at = 0; at < 64 * MIB; at += 2 * MIB)
        touch(memory + at, 1);
}

/* One block after another, each above every mmap threshold. */
static void thrash(void)
{
    for (int i = 0; i < 2000; i++) {
        char *block = take(48 * MIB);
        touch(block, PAGE);
        free(block);
    }
}

/* A block of 16 MiB is freed, then smaller ones come from the heap. */
static void ratchet(void)
{
    free(take(16 * MIB));
    for (int i = 0; i < 32; i++)
        touch(take(MIB), MIB);
}

static const struct {
    const char *name;
    void (*run)(void);
} modes[] = {
    { "leak", leak },
    { "leak-like-retention", leak_like_retention },
    { "retention-like-leak", retention_like_leak },
    { "cache-that-fills", cache_that_fills },
    { "own-pool", own_pool },
    { "own-purge", own_purge },
    { "own-arena", own_arena },
    { "purge-and-reuse", purge_and_reuse },
    { "free-and-reuse", free_and_reuse },
    { "offer-and-reuse", offer_and_reuse },
    { "huge-regrowth", huge_regrowth },
    { "thrash", thrash },
    { "ratchet", ratchet },
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(argv[1], modes[i].name) == 0) {
            say("start");
            wait_for_line();
            modes[i].run();
            say("end");
            wait_for_line();
            return 0;
        }
    }
    dprintf(STDERR_FILENO, "usage: adversary MODE, where MODE is one of:\n");
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        dprintf(STDERR_FILENO, "  %s\n", modes[i].name);
    return 2;
}
