/* guard.c - see guard.h. */
#include "guard.h"

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 65536, PAINTED = 512, PAINT = 0xa5 }; /* PAGE: a multiple of any machine's */

static struct slot {
    char *pages; /* GUARD_BYTES, an unreadable page on either side */
    const char *name;
    char *painted; /* PAINTED bytes */
} slots[GUARD_SLOTS];

static sigjmp_buf home;
static volatile sig_atomic_t in_call;
static volatile int signal_number;
static void *volatile signal_address;

void *guard_place(int slot, const char *name, size_t bytes, enum side side)
{
    struct slot *s = &slots[slot];
    if (!s->pages) {
        /* QEMU reads all bytes of a masked load; a CPU does not touch those that the mask leaves out. */
        int guard = getenv("ANDIRON_TESTS_OPEN_GUARDS") ? PROT_READ : PROT_NONE;
        char *all = mmap(NULL, GUARD_BYTES + 2 * PAGE, guard, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED || mprotect(all + PAGE, GUARD_BYTES, PROT_READ | PROT_WRITE))
            abort();
        s->pages = all + PAGE;
    }
    if (bytes > GUARD_BYTES - PAINTED)
        abort();
    s->name = name;
    char *p = side == AT_END ? s->pages + GUARD_BYTES - bytes : s->pages;
    s->painted = side == AT_END ? p - PAINTED : p + bytes;
    memset(s->painted, PAINT, PAINTED);
    return p;
}

const char *guard_intact(void)
{
    for (int i = 0; i < GUARD_SLOTS; i++)
        for (int j = 0; j < PAINTED && slots[i].painted; j++)
            if ((uint8_t)slots[i].painted[j] != PAINT)
                return slots[i].name;
    return NULL;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (!in_call) {
        signal(number, SIG_DFL);
        return;
    }
    signal_number = number;
    signal_address = info->si_addr;
    siglongjmp(home, 1);
}

static void catch_signals(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
}

static void describe(char why[128])
{
    const char *at = signal_address;
    for (int i = 0; i < GUARD_SLOTS; i++) {
        const char *p = slots[i].pages;
        if (p && at >= p - PAGE && at < p + GUARD_BYTES + PAGE) {
            snprintf(why, 128, "%s %s its buffer \"%s\"", strsignal(signal_number),
                     at < p                  ? "before"
                     : at >= p + GUARD_BYTES ? "after"
                                             : "within",
                     slots[i].name);
            return;
        }
    }
    snprintf(why, 128, "%s (not beside a buffer: an aligned access to what is not aligned?)", strsignal(signal_number));
}

bool guard_call(void (*f)(void *arg), void *arg, char why[128])
{
    static bool ready;
    if (!ready)
        catch_signals();
    ready = true;
    if (sigsetjmp(home, 1)) {
        in_call = 0;
        describe(why);
        return false;
    }
    in_call = 1;
    f(arg);
    in_call = 0;
    return true;
}
