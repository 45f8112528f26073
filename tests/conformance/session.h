// A disk and its model, changed in step and compared.
//
// What differs is reported as a failure of the running test.

#ifndef RAMDISK_CONFORMANCE_SESSION_H
#define RAMDISK_CONFORMANCE_SESSION_H

#include <memory>
#include <set>
#include <string>

#include "data.h"
#include "extent_check.h"
#include "factory.h"
#include "model.h"
#include "places.h"

namespace ramdisk::conformance {

class Session {
 public:
  // `disk` outlives the session and is untouched so far.
  Session(Disk& disk, AllocatorType type, uint64_t disk_bytes);

  Allocator& disk() { return *disk_; }
  const Model& model() const { return *model_; }
  const KeptPages& kept() const { return kept_; }
  uint64_t page_bytes() const { return kept_.page_bytes(); }

  // These have to succeed.
  void write(std::span<const std::byte> data, uint64_t offset);
  void zero(uint64_t count, uint64_t offset);

  // These may fail for lack of memory, and then must have left each page old or new. Return
  // whether they succeeded.
  bool try_write(std::span<const std::byte> data, uint64_t offset);
  bool try_zero(uint64_t count, uint64_t offset);

  // Compares content and extents.
  void check(uint64_t count, uint64_t offset);
  void check_extents_only(uint64_t count, uint64_t offset);
  // check() for the range and what lies up to 64 KiB before and after it.
  void check_around(uint64_t count, uint64_t offset);
  // check() for everything that was ever written, and the extents of the whole disk.
  void check_everything();

  // What to print with a failure: the last step.
  const std::string& last_step() const { return step_; }

 private:
  void adopt(const Status& failed, const std::byte* wanted, uint64_t count, uint64_t offset);
  std::set<uint64_t> pages_to_adopt(bool all, uint64_t count, uint64_t offset) const;

  Disk& disk_;
  const bool holes_;
  const uint64_t bytes_;
  std::unique_ptr<Model> model_;
  KeptPages kept_;
  std::string step_ = "nothing yet";
};

// `steps` random requests, most of them near edges, each followed by a look at what it touched.
// Stops at the first failure.
void random_steps(Session& session, const Places& places, int steps, uint64_t most, Rng& rng);

}  // namespace ramdisk::conformance

#endif
