/* Asks an allocator for memory in every way that C has, keeps books of what it holds, and tells.

   usage: heap leak|cache|mix|threads|fork|throw [ROUNDS]

   It prints "held BLOCKS BYTES" for what it holds in the end, by its own books, and waits for the
   end of its input. All it asks for it asks for in functions whose names begin with "ask": what
   the C library or an allocator needs for itself is not in the books. Books and output need no
   memory. */

#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS 4096
#define THREADS 4

struct book {
    void *block[SLOTS];
    size_t size[SLOTS];
    uint64_t random;
};

static struct book books[THREADS + 1];
static int rounds = 20000;

/* Another function for each way, so that each is a place of its own. */
#define ASK __attribute__((noinline, noclone))
static ASK void *ask_malloc(size_t size) { void *p = malloc(size); __asm__ volatile("" ::: "memory"); return p; }
static ASK void *ask_calloc(size_t size) { void *p = calloc(size, 1); __asm__ volatile("" ::: "memory"); return p; }
static ASK void *ask_aligned(size_t size) { void *p = aligned_alloc(64, size & ~63ul); __asm__ volatile("" ::: "memory"); return p; }
static ASK void *ask_memalign(size_t size) { void *p = memalign(256, size); __asm__ volatile("" ::: "memory"); return p; }
static ASK void *ask_posix(size_t size) { void *p = 0; if (posix_memalign(&p, 4096, size)) p = 0; __asm__ volatile("" ::: "memory"); return p; }
static ASK void *ask_realloc(void *old, size_t size) { void *p = realloc(old, size); __asm__ volatile("" ::: "memory"); return p; }
static ASK void *ask_array(void *old, size_t size) { void *p = reallocarray(old, size, 1); __asm__ volatile("" ::: "memory"); return p; }

static uint64_t next(struct book *book)
{
    book->random ^= book->random << 13;
    book->random ^= book->random >> 7;
    book->random ^= book->random << 17;
    return book->random >> 11;
}

static void put(struct book *book, int slot, void *block, size_t size)
{
    if (!block)
        abort();
    memset(block, 1, size);
    book->block[slot] = block;
    book->size[slot] = size;
}

static void step(struct book *book)
{
    int slot = next(book) % SLOTS;
    /* Mostly small, some of mapped sizes. */
    size_t size = 1 + next(book) % (next(book) % 64 ? 2000 : 300000);
    if (book->block[slot] && next(book) % 4) {
        free(book->block[slot]);
        book->block[slot] = 0;
        book->size[slot] = 0;
        return;
    }
    if (book->block[slot]) {
        void *old = book->block[slot];
        put(book, slot, next(book) % 2 ? ask_realloc(old, size) : ask_array(old, size), size);
        return;
    }
    switch (next(book) % 6) {
    case 0: put(book, slot, ask_malloc(size), size); break;
    case 1: put(book, slot, ask_calloc(size), size); break;
    case 2: size = (size + 63) & ~63ul; put(book, slot, ask_aligned(size), size); break;
    case 3: put(book, slot, ask_memalign(size), size); break;
    case 4: put(book, slot, ask_posix(size), size); break;
    case 5: put(book, slot, ask_realloc(0, size), size); break;
    }
}

static void *steps(void *argument)
{
    struct book *book = argument;
    for (int i = 0; i < rounds; i++)
        step(book);
    return 0;
}

static void tell(const char *who)
{
    size_t blocks = 0, bytes = 0;
    for (int i = 0; i <= THREADS; i++)
        for (int slot = 0; slot < SLOTS; slot++)
            if (books[i].block[slot]) {
                blocks++;
                bytes += books[i].size[slot];
            }
    char line[128];
    int length = snprintf(line, sizeof line, "%s %d held %zu %zu\n", who, (int)getpid(), blocks, bytes);
    if (write(1, line, length) != length)
        _exit(2);
}

static void wait_for_end(void)
{
    char byte;
    while (read(0, &byte, 1) > 0)
        ;
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "";
    if (count > 2)
        rounds = atoi(words[2]);
    for (int i = 0; i <= THREADS; i++)
        books[i].random = 0x9e3779b97f4a7c15u + i;
    if (!strcmp(what, "leak") || !strcmp(what, "cache")) {
        /* The same memory, once held and once given back; the last block stays, so that a heap
           that ends with it cannot shrink. */
        static void *last;
        for (int i = 0; i < SLOTS; i++)
            put(&books[0], i, ask_malloc(4000), 4000);
        last = ask_malloc(4000);
        if (!strcmp(what, "cache"))
            for (int i = 0; i < SLOTS; i++) {
                free(books[0].block[i]);
                books[0].block[i] = 0;
            }
        books[1].block[0] = last;
        books[1].size[0] = 4000;
    } else if (!strcmp(what, "mix")) {
        steps(&books[0]);
    } else if (!strcmp(what, "threads")) {
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++)
            if (pthread_create(&threads[i], 0, steps, &books[i]))
                return 2;
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], 0);
        /* What one thread got another gives back. */
        for (int i = 0; i < THREADS; i++)
            for (int slot = 0; slot < SLOTS; slot += 2) {
                free(books[i].block[slot]);
                books[i].block[slot] = 0;
            }
        pthread_t one;
        if (pthread_create(&one, 0, steps, &books[THREADS]))
            return 2;
        pthread_join(one, 0);
    } else if (!strcmp(what, "fork")) {
        steps(&books[0]);
        pid_t child = fork();
        if (child == 0) {
            execl("/proc/self/exe", words[0], "mix", "5000", (char *)0);
            _exit(2);
        }
        int status;
        waitpid(child, &status, 0);
    } else {
        return 2;
    }
    tell(what);
    wait_for_end();
    _exit(0);
}
