// The system calls for memory of the unit tests' program: recorded, and refused when a test says
// so.
//
// The linker puts these in the place of the C library's (--wrap, see CMakeLists.txt), so the tests
// see what really reaches the system. Nothing is changed until a test asks for it.
//
// Thread contract: one test at a time; the code under test may call from several threads.

#ifndef RAMDISK_UNIT_SYSTEM_CALLS_H
#define RAMDISK_UNIT_SYSTEM_CALLS_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ramdisk::unit {

class SystemCalls {
 public:
  SystemCalls();  // begins to record; one at a time
  ~SystemCalls();
  SystemCalls(const SystemCalls&) = delete;
  SystemCalls& operator=(const SystemCalls&) = delete;

  struct Advice {
    uintptr_t base;
    size_t bytes;
    int number;
  };

  // Each madvise() with that advice gets this errno from now on. 0: is allowed again.
  void refuse_advice(int number, int errnum);
  void refuse_mlock2(int errnum);
  void refuse_mlock(int errnum);

  // Each mmap() gives this address, where nothing is mapped, and munmap() does nothing. 0: no more.
  void map_at(uintptr_t address);

  // All madvise() so far, refused or not, and only those with one advice.
  std::vector<Advice> advice() const;
  std::vector<Advice> advice(int number) const;
};

}  // namespace ramdisk::unit

#endif
