/* Preloaded into a tracer: refuses programs whose names begin with what VERIFIER_REFUSES says, as a
 * kernel could; asks the kernel's verifier how much work each of the others was, and prints
 * "verifier: PROGRAM INSTRUCTIONS". Since 5.16 the kernel keeps that figure; before, it is only in
 * the verifier's log, which a loader asks for when it has failed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

/* BPF_LOG_STATS of include/linux/bpf_verifier.h. */
#define STATISTICS 4

/* Larger than any kernel's: what is beyond the caller's size stays zero. */
static union {
    union bpf_attr attr;
    char bytes[512];
} load;
static char words[1 << 16];

static int is_refused(void)
{
    const char *refused = getenv("VERIFIER_REFUSES");
    return refused && !strncmp(load.attr.prog_name, refused, strlen(refused));
}

static void tell(void)
{
    unsigned long count;
    /* Where it refuses something, that is all it is there for. */
    if (getenv("VERIFIER_REFUSES"))
        return;
    const char *found = strstr(words, "processed ");
    if (found && sscanf(found, "processed %lu insns", &count) == 1)
        fprintf(stderr, "verifier: %s %lu\n", load.attr.prog_name, count);
}

long syscall(long number, ...)
{
    long args[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        args[i] = va_arg(list, long);
    va_end(list);

    static long (*next)(long, ...);
    if (!next)
        next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    size_t size = (size_t)args[2];
    if (number == SYS_bpf && args[0] == BPF_PROG_LOAD && size <= sizeof load) {
        memset(&load, 0, sizeof load);
        memcpy(&load, (const void *)args[1], size);
        if (is_refused()) {
            errno = EINVAL;
            return -1;
        }
        if (!load.attr.log_buf && load.attr.prog_name[0]) {
            load.attr.log_buf = (uintptr_t)words;
            load.attr.log_size = sizeof words;
            load.attr.log_level = STATISTICS;
            words[0] = 0;
            long result = next(number, args[0], &load, size);
            int error = errno;
            if (result >= 0)
                tell();
            errno = error;
            return result;
        }
    }
    return next(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}
