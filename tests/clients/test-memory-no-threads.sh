#!/usr/bin/env bash
# Proves that a disk works, and holds what it should, when the system gives the plugin no threads:
# what is done in the background otherwise is then done by requests, or not at all.
. "$(dirname "$0")/functions.sh"
requires nbdsh cc

# The plugin gets no thread, whether or not the C++ runtime is linked into it; nbdkit gets all it wants.
cat >"$dir/nothreads.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *x) {
  Dl_info info;
  if (dladdr(__builtin_return_address(0), &info) &&
      (strstr(info.dli_fname, "stdc++") || strstr(info.dli_fname, "memory-plugin"))) {
    if (write(2, "no thread\n", 10) < 0) return EAGAIN;
    return EAGAIN;
  }
  return ((create *)dlsym(RTLD_NEXT, "pthread_create"))(t, a, f, x);
}
C
cc -shared -fPIC -O1 -o "$dir/nothreads.so" "$dir/nothreads.c"

for allocator in $(allocators); do
  LD_PRELOAD=$dir/nothreads.so start_nbdkit 100M "allocator=$allocator" 2>"$dir/refused"
  check_disk "$allocator"
  # Only the zstd disk is sure to want threads; without a refusal this would prove nothing of it.
  [ "$allocator" != zstd ] || grep -q 'no thread' "$dir/refused" || fail "zstd asked for no thread"
  stop_nbdkit
done
