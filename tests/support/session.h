// A disk and its model: each request is made to both, and the two are compared. A difference fails
// the running test.

#ifndef RAMDISK_SUPPORT_SESSION_H
#define RAMDISK_SUPPORT_SESSION_H

#include <memory>
#include <set>
#include <string>

#include "support/data.h"
#include "support/extent_check.h"
#include "support/factory.h"
#include "support/model.h"
#include "support/places.h"

namespace ramdisk::support {

class Session {
 public:
  struct Limits {
    bool holes = true;                      // the disk has them
    uint64_t longest_request = UINT64_MAX;  // bytes of a zero or a look at extents
    uint64_t page_bytes = Allocator::kBlockBytes;
  };

  // `disk` outlives the session and has not been written to. The model of a Disk begins with its
  // content.
  Session(Disk& disk, AllocatorType type, uint64_t disk_bytes);
  Session(Allocator& disk, uint64_t disk_bytes, Limits limits);

  Allocator& disk() { return disk_; }
  uint64_t longest_request() const { return limits_.longest_request; }
  const Model& model() const { return *model_; }
  const KeptPages& kept() const { return kept_; }
  uint64_t page_bytes() const { return kept_.page_bytes(); }

  // Has the model begin with the content of `base`, of which the disk is a clone.
  void begin_with(Allocator& base);

  // An error fails the test.
  void write(std::span<const std::byte> data, uint64_t offset);
  void zero(uint64_t count, uint64_t offset);

  // These may fail for lack of memory; each page must then be old or new. Return whether they
  // succeeded.
  bool try_write(std::span<const std::byte> data, uint64_t offset);
  bool try_zero(uint64_t count, uint64_t offset);

  // Compare content and extents, or extents alone.
  void check(uint64_t count, uint64_t offset);
  void check_extents_only(uint64_t count, uint64_t offset);
  // check() for the range and for 64 KiB before and after it.
  void check_around(uint64_t count, uint64_t offset);
  // check() for everything that was ever written, and for the extents of the whole disk, or of its
  // first `longest_request` bytes.
  void check_everything();

  // The last request, to be printed with a failure.
  const std::string& last_step() const { return step_; }

 private:
  void adopt(const Status& failed, const std::byte* wanted, uint64_t count, uint64_t offset);
  std::set<uint64_t> pages_to_adopt(bool all, uint64_t count, uint64_t offset) const;

  Allocator& disk_;
  const Limits limits_;
  const uint64_t bytes_;
  std::unique_ptr<Model> model_;
  KeptPages kept_;
  std::string step_ = "nothing yet";
};

// Makes `steps` random requests, most of them near edges, and checks after each what it touched.
// Stops at the first failure.
void random_steps(Session& session, const Places& places, int steps, uint64_t most, Rng& rng);

}  // namespace ramdisk::support

#endif
