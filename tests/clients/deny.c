// Runs a program that may not make some system calls, as in a sandbox that does not know them.
// Usage: deny ERRNO CALL[,CALL]... PROGRAM [ARGUMENT]...
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ANY = -1, LENGTH = 128 };

// ADVICE: the third argument that the call is denied with.
static const struct {
  const char* name;
  int number;
  int advice;
} calls[] = {
    {"populate", SYS_madvise, 23},
    {"hugepage", SYS_madvise, 14},
    {"nohugepage", SYS_madvise, 15},
    {"dontneed", SYS_madvise, 4},
    {"dontneed_locked", SYS_madvise, 24},
    {"free", SYS_madvise, 8},
    {"dontdump", SYS_madvise, 16},
    {"mlock", SYS_mlock, ANY},
    {"mlock2", SYS_mlock2, ANY},
    {"membarrier", SYS_membarrier, ANY},
    {"sched_setaffinity", SYS_sched_setaffinity, ANY},
    {"sched_getaffinity", SYS_sched_getaffinity, ANY},
};

static const struct {
  const char* name;
  int number;
} errors[] = {{"EPERM", EPERM}, {"ENOSYS", ENOSYS}, {"EINVAL", EINVAL}};

static struct sock_filter filter[LENGTH];
static unsigned short length;

static void add(struct sock_filter step) {
  if (length == LENGTH) exit(2);
  filter[length++] = step;
}

static void load(size_t offset) {
  add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

// Goes on if the loaded word is VALUE, else over so many steps.
static void only_if(int value, unsigned char over) {
  add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)value, 0, over));
}

static void answer(unsigned what) { add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what)); }

static int deny(const char* name, int error) {
  size_t low = offsetof(struct seccomp_data, args[2]);
  if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) low += 4;
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    if (strcmp(calls[i].name, name) != 0) continue;
    const int any = calls[i].advice == ANY;
    load(offsetof(struct seccomp_data, nr));
    only_if(calls[i].number, any ? 1 : 3);
    if (!any) load(low);
    if (!any) only_if(calls[i].advice, 1);
    answer(SECCOMP_RET_ERRNO | (unsigned)error);
    return 1;
  }
  return 0;
}

int main(int argc, char** argv) {
  int error = 0;
  if (argc < 4) return 2;
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (strcmp(errors[i].name, argv[1]) == 0) error = errors[i].number;
  for (char* name = strtok(argv[2], ","); name; name = strtok(NULL, ","))
    if (error == 0 || !deny(name, error)) return 2;
  answer(SECCOMP_RET_ALLOW);
  const struct sock_fprog program = {length, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    perror("seccomp");
    return 77;
  }
  execvp(argv[3], argv + 3);
  perror(argv[3]);
  return 2;
}
