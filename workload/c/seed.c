/*
 * The first experiment as plain C: eight untouched blocks of 128 MiB, freed
 * one by one, with VmSize after every step. Nothing but the blocks is
 * allocated until the last line is out.
 *
 *     gcc -O2 -o seed seed.c && ./seed [SECONDS]
 *     LD_PRELOAD=libjemalloc.so.2 ./seed
 *
 * SECONDS is slept after every step. The program ends when it reads a
 * character or the end of its input.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCKS 8
#define BLOCK_BYTES ((size_t)128 << 20)

static unsigned int pause_seconds;

/* VmSize in kB (1024 bytes), or -1. */
static long vm_size_kb(void)
{
    static char text[4096];
    static const char name[] = "\nVmSize:";
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    const char *field;

    if (fd >= 0)
        close(fd);
    if (length < 0)
        return -1;
    text[length] = '\0';
    field = strstr(text, name);
    return field ? strtol(field + strlen(name), NULL, 10) : -1;
}

static void show(const char *action, int block, const void *address)
{
    if (block < 0)
        dprintf(STDOUT_FILENO, "%s: VmSize %ld kB\n", action, vm_size_kb());
    else
        dprintf(STDOUT_FILENO, "%s %d at %p: VmSize %ld kB\n", action, block,
                address, vm_size_kb());
    sleep(pause_seconds);
}

int main(int argc, char **argv)
{
    void *blocks[BLOCKS];

    if (argc > 1) {
        char *end;
        long seconds = strtol(argv[1], &end, 10);

        if (end == argv[1] || *end != '\0' || seconds < 0 || seconds > 3600) {
            dprintf(STDERR_FILENO, "%s: give the pause in seconds, 0 to 3600\n",
                    argv[0]);
            return 2;
        }
        pause_seconds = (unsigned int)seconds;
    }

    dprintf(STDOUT_FILENO, "pid %d\n", (int)getpid());
    show("start", -1, NULL);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BLOCK_BYTES);
        if (blocks[i] == NULL) {
            dprintf(STDERR_FILENO, "%s: cannot allocate block %d: %s\n", argv[0],
                    i, strerror(errno));
            return 1;
        }
        show("alloc", i, blocks[i]);
    }
    for (int i = 0; i < BLOCKS; i++) {
        const void *volatile address = blocks[i];

        free(blocks[i]);
        show("free", i, address);
    }
    show("end", -1, NULL);
    getchar();
    return 0;
}
