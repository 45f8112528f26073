// Takes more memory than the guest has, writes all of it and reads it back, twice; so that all of
// it goes to swap and comes back. Usage: guest-hog MEGABYTES In C and for one test: a guest without
// Python or perl runs it.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096, WORDS = PAGE / 8 };

// The first half of a page is noise, the rest is not: it compresses, but not to nothing.
static uint64_t word(uint64_t page, uint64_t round, uint64_t i) {
  uint64_t x = (page * WORDS + i + 1) * 0x9e3779b97f4a7c15u + round;
  if (i >= WORDS / 2) return page ^ round;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  return x ^ (x >> 27);
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const uint64_t pages = strtoull(argv[1], NULL, 10) << 8;
  uint64_t* memory =
      mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 2;
  for (uint64_t round = 0; round < 2; round++) {
    for (uint64_t page = 0; page < pages; page++)
      for (uint64_t i = 0; i < WORDS; i++) memory[page * WORDS + i] = word(page, round, i);
    for (uint64_t page = 0; page < pages; page++)
      for (uint64_t i = 0; i < WORDS; i++)
        if (memory[page * WORDS + i] != word(page, round, i)) {
          printf("page %llu is wrong\n", (unsigned long long)page);
          return 1;
        }
  }
  printf("%s MiB are right\n", argv[1]);
  return 0;
}
