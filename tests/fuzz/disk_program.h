// What the disk fuzzer makes of a string of bytes: a disk, and requests to it one after the other,
// each compared with the model of the conformance suite.
//
// The first bytes choose the allocator and its options, the size of the disk, the memory that it
// gets, and whether it is a clone. Then each operation is a byte that says what, and the bytes of
// its place, length and data. One of the operations makes memory fail: from then on requests may
// fail for lack of memory, and the session checks that each page is then old or new and that all
// others are as they were. At the end there is memory again; the whole disk is compared, zeroed and
// destroyed, and nothing may be left.
//
// Thread contract: one program at a time; it fails by recording failures of the test framework.

#ifndef RAMDISK_FUZZ_DISK_PROGRAM_H
#define RAMDISK_FUZZ_DISK_PROGRAM_H

#include <cstdint>
#include <memory>

#include "input.h"
#include "support/session.h"

namespace ramdisk::fuzz {

class DiskProgram {
 public:
  explicit DiskProgram(Input input);

  // Returns false if a comparison has failed.
  bool run();

 private:
  struct Place {
    uint64_t offset;
    uint64_t count;
  };

  void step();
  Place place();
  uint64_t offset();
  uint64_t count();
  uint64_t far_count(uint64_t offset);
  void check_near(Place place);
  void write(Place place);
  void zero(Place place);
  void fill();
  void first_extent(Place place);
  void fail();
  void rest();
  void finish();
  void check_stored_bytes();

  Input input_;
  AllocatorOptions options_;
  conformance::Base base_ = conformance::Base::none;
  uint64_t bytes_;
  std::unique_ptr<conformance::FailingMemory> memory_;
  std::unique_ptr<conformance::Disk> disk_;
  std::unique_ptr<conformance::Session> session_;
  std::unique_ptr<conformance::Places> places_;
  bool may_fail_ = false;
  int rests_ = 0;
  bool filled_ = false;
};

}  // namespace ramdisk::fuzz

#endif
