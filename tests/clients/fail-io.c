// Preloaded into nbdkit: has some calls on some files fail, as a broken or full disk does.
// FAIL_CALL: pread, pwrite, fsync, ftruncate, fchmod or rename. FAIL_NAME: part of the file's name.
// FAIL_ERROR: the number of the error. FAIL_AFTER: how many such calls succeed first; 0 unless given.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int left = -1;

static int fails(const char* call, const char* name) {
  const char* wanted = getenv("FAIL_CALL");
  const char* part = getenv("FAIL_NAME");
  if (!wanted || strcmp(wanted, call) != 0 || !part || !strstr(name, part)) return 0;
  const char* after = getenv("FAIL_AFTER");
  int expected = -1;
  __atomic_compare_exchange_n(&left, &expected, after ? atoi(after) : 0, 0, __ATOMIC_SEQ_CST,
                              __ATOMIC_SEQ_CST);
  if (__atomic_fetch_sub(&left, 1, __ATOMIC_SEQ_CST) > 0) return 0;
  __atomic_store_n(&left, 0, __ATOMIC_SEQ_CST);
  errno = atoi(getenv("FAIL_ERROR"));
  return 1;
}

static int fails_on(const char* call, int fd) {
  char link[64];
  char name[4096] = "";
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, name, sizeof name - 1);
  return length > 0 && fails(call, name);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pread64(int fd, void* to, size_t count, off64_t at) {
  return fails_on("pread", fd) ? -1 : REAL(pread64)(fd, to, count, at);
}
ssize_t pwrite64(int fd, const void* from, size_t count, off64_t at) {
  return fails_on("pwrite", fd) ? -1 : REAL(pwrite64)(fd, from, count, at);
}
int ftruncate64(int fd, off64_t size) {
  return fails_on("ftruncate", fd) ? -1 : REAL(ftruncate64)(fd, size);
}
ssize_t pread(int fd, void* to, size_t count, off_t at) {
  return fails_on("pread", fd) ? -1 : REAL(pread)(fd, to, count, at);
}
ssize_t pwrite(int fd, const void* from, size_t count, off_t at) {
  return fails_on("pwrite", fd) ? -1 : REAL(pwrite)(fd, from, count, at);
}
int ftruncate(int fd, off_t size) {
  return fails_on("ftruncate", fd) ? -1 : REAL(ftruncate)(fd, size);
}
int fsync(int fd) { return fails_on("fsync", fd) ? -1 : REAL(fsync)(fd); }
int fchmod(int fd, mode_t mode) { return fails_on("fchmod", fd) ? -1 : REAL(fchmod)(fd, mode); }
int rename(const char* from, const char* to) {
  return fails("rename", from) ? -1 : REAL(rename)(from, to);
}
