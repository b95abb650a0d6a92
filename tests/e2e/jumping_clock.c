// A wall clock that the test sets: loaded into the daemon (LD_PRELOAD), it adds to CLOCK_REALTIME the nanoseconds that the
// file named by JUMPING_CLOCK holds, as settimeofday(2) would, for this process alone. Waits until a moment of that clock
// (Abseil's, by futex) are made in slices, so that a jump in the middle of one is noticed, as the kernel does.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef long (*Syscall)(long, ...);

static const int64_t second = 1000000000, slice = 20000000;

static Syscall next_syscall(void) {
  static Syscall next;
  if (next == NULL) next = (Syscall)dlsym(RTLD_NEXT, "syscall");
  return next;
}

static int64_t ahead(void) {
  static volatile int64_t* shared;
  if (shared == NULL) {
    const int file = open(getenv("JUMPING_CLOCK"), O_RDONLY | O_CLOEXEC);
    void* mapped = mmap(NULL, sizeof *shared, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) abort();
    close(file);
    shared = mapped;
  }
  return *shared;
}

static int64_t nanoseconds_of(const struct timespec* time) { return time->tv_sec * second + time->tv_nsec; }

static struct timespec timespec_of(int64_t nanoseconds) {
  return (struct timespec){.tv_sec = nanoseconds / second, .tv_nsec = nanoseconds % second};
}

static int64_t real_ns(void) {
  struct timespec time;
  next_syscall()(SYS_clock_gettime, CLOCK_REALTIME, &time);
  return nanoseconds_of(&time);
}

int clock_gettime(clockid_t clock, struct timespec* time) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
    return (int)next_syscall()(SYS_clock_gettime, clock, time);
  *time = timespec_of(real_ns() + ahead());
  return 0;
}

int gettimeofday(struct timeval* restrict time, void* restrict zone) {
  (void)zone;
  const struct timespec now = timespec_of(real_ns() + ahead());
  *time = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* out) {
  const time_t now = (time_t)((real_ns() + ahead()) / second);
  if (out != NULL) *out = now;
  return now;
}

static long wait_until(const long arguments[6]) {
  const int64_t deadline = nanoseconds_of((const struct timespec*)arguments[3]);
  for (;;) {
    const int64_t now = real_ns(), left = deadline - ahead() - now;
    const struct timespec until = timespec_of(now + (left > slice ? slice : left < 0 ? 0 : left));
    const long result = next_syscall()(SYS_futex, arguments[0], arguments[1], arguments[2], &until, arguments[4], arguments[5]);
    if (result == 0 || errno != ETIMEDOUT || left <= slice) return result;
  }
}

long syscall(long number, ...) {
  long arguments[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; ++i) arguments[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_futex && (arguments[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET &&
      (arguments[1] & FUTEX_CLOCK_REALTIME) && arguments[3] != 0)
    return wait_until(arguments);
  return next_syscall()(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}
