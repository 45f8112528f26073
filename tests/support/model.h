// What a disk must read as, stored in the simplest way that can be checked by reading.
//
// Thread contract: a model belongs to one thread.

#ifndef RAMDISK_SUPPORT_MODEL_H
#define RAMDISK_SUPPORT_MODEL_H

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "support/data.h"

namespace ramdisk::support {

class Model {
 public:
  virtual ~Model() = default;
  virtual void write(std::span<const std::byte> data, uint64_t offset) = 0;
  virtual void zero(uint64_t count, uint64_t offset) = 0;
  virtual Bytes read(uint64_t count, uint64_t offset) const = 0;
  virtual bool reads_as_zeroes(uint64_t count, uint64_t offset) const = 0;

  // The offsets of the pieces of kPiece bytes that may hold data, in ascending order.
  virtual std::vector<uint64_t> pieces() const = 0;
  static constexpr uint64_t kPiece = 4096;
};

// One byte for each byte of the disk.
class VectorModel : public Model {
 public:
  explicit VectorModel(uint64_t disk_bytes) : bytes_(disk_bytes) {}
  void write(std::span<const std::byte> data, uint64_t offset) override;
  void zero(uint64_t count, uint64_t offset) override;
  Bytes read(uint64_t count, uint64_t offset) const override;
  bool reads_as_zeroes(uint64_t count, uint64_t offset) const override;
  std::vector<uint64_t> pieces() const override;

 private:
  Bytes bytes_;
};

// Only the pieces that were written, for disks that are too large for a vector.
class MapModel : public Model {
 public:
  void write(std::span<const std::byte> data, uint64_t offset) override;
  void zero(uint64_t count, uint64_t offset) override;
  Bytes read(uint64_t count, uint64_t offset) const override;
  bool reads_as_zeroes(uint64_t count, uint64_t offset) const override;
  std::vector<uint64_t> pieces() const override;

 private:
  std::map<uint64_t, Bytes> pieces_;  // by number: offset / kPiece
};

std::unique_ptr<Model> make_model(uint64_t disk_bytes);

// The pages that an allocator may keep: those written since they were last zeroed as a whole. All
// others must be holes.
class KeptPages {
 public:
  KeptPages(uint64_t page_bytes, uint64_t disk_bytes) : page_(page_bytes), disk_(disk_bytes) {}

  void write(uint64_t count, uint64_t offset);
  void zero(uint64_t count, uint64_t offset);

  // The offset of the first byte of the range whose page must be a hole, or the end of the range.
  uint64_t first_hole(uint64_t count, uint64_t offset) const;

  uint64_t page_bytes() const { return page_; }
  uint64_t pages() const { return kept_.size(); }

 private:
  const uint64_t page_;
  const uint64_t disk_;
  std::set<uint64_t> kept_;  // page numbers
};

}  // namespace ramdisk::support

#endif
