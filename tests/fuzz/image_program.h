// What the image fuzzer makes of a string of bytes: a file, a disk that begins with it, clones of
// that disk, and a file that one of them leaves behind.
//
// The first bytes choose the allocator, the size of the file, its data and holes, and what happens
// to it while it is loaded: it shrinks, grows, is written to, loses blocks, another file takes its
// place, or it can no longer be read. A load that succeeds gives each byte some value that the file
// had at that place, and all of them if nothing happened; one that fails has a reason. Then two
// clones are changed in turn, each compared with a model of its own, and must leave the base as it
// was. At last the disk or a clone is saved, perhaps where something lies in the way or the file
// may not grow as large: a whole image is there afterwards, the new one or the old one.
//
// Thread contract: one program at a time; it fails by recording failures of the test framework.

#ifndef RAMDISK_FUZZ_IMAGE_PROGRAM_H
#define RAMDISK_FUZZ_IMAGE_PROGRAM_H

#include <cstdint>
#include <memory>
#include <vector>

#include "changing_file.h"
#include "input.h"
#include "support/session.h"

namespace ramdisk::fuzz {

class ImageProgram {
 public:
  explicit ImageProgram(Input input);

  // Returns false if a comparison has failed.
  bool run();

 private:
  bool load(conformance::Disk& disk, size_t threads);
  void check_loaded(conformance::Disk& disk) const;
  void change_clones(conformance::Disk& base);
  void change(conformance::Session& session);
  void save(Allocator& disk);
  void check_saved(Allocator& disk, const Status& status, const conformance::Bytes& old);

  Input input_;
  AllocatorOptions options_;
  uint64_t bytes_;  // of the file
  uint64_t disk_bytes_;
  ChangingFile file_;
  bool may_fail_ = false;  // for lack of memory
};

}  // namespace ramdisk::fuzz

#endif
