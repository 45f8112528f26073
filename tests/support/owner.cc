// The requests and checks of owner.h.

#include "support/owner.h"

#include <algorithm>

#include "support/extent_check.h"
#include "support/factory.h"

namespace ramdisk::support {
namespace {

constexpr uint64_t kMood = 24;  // steps after which an owner turns from writing to zeroing

// A byte of owner `id`: never 0, and the upper half tells the owner.
std::byte stamp(int id, uint64_t random) {
  return static_cast<std::byte>(((id + 1) << 4) | (1 + random % 15));
}

}  // namespace

Owner::Owner(Allocator& disk, const Slices& slices, int id, Habits habits)
    : disk_(disk),
      shared_(slices),
      id_(id),
      habits_(habits),
      page_(Allocator::kBlockBytes),
      rng_(1000 + id) {
  add(slices.blocks(id));
}

Owner::Owner(Allocator& disk, const std::vector<Blocks>& blocks, int id, uint64_t page_bytes)
    : disk_(disk), id_(id), habits_{.stamps = false}, page_(page_bytes), rng_(1000 + id) {
  for (const Blocks& each : blocks) add(each);
}

void Owner::add(const Blocks& blocks) {
  for (uint64_t i = 0; i < blocks.count; ++i) {
    blocks_.push_back({blocks.base + i * blocks.stride, Bytes(blocks.length)});
  }
}

void Owner::begin_with(Allocator& base) {
  for (Block& block : blocks_) block.model = read_back(base, block.model.size(), block.offset);
}

std::string Owner::where(uint64_t offset) const {
  return "owner " + std::to_string(id_) + ", step " + std::to_string(steps_) + ", byte " +
         std::to_string(offset) + ": ";
}

Bytes Owner::stamped_bytes(uint64_t count) {
  Bytes bytes(count);
  // Long runs of one stamp compress well, mixed ones do not.
  const bool one_stamp = rng_.chance(50);
  const uint64_t first = rng_.next();
  for (std::byte& byte : bytes) byte = stamp(id_, one_stamp ? first : rng_.next());
  return bytes;
}

std::string Owner::step() {
  // Zeroing comes in waves that the owners go through roughly together: only then do whole pages
  // become zero and get freed while another owner is about to write to them.
  const bool zeroing = ++steps_ / kMood % 2 == 1;
  Block& block = blocks_[rng_.below(blocks_.size())];
  uint64_t from = 0;
  uint64_t count = block.model.size();
  if (rng_.chance(30)) {
    from = rng_.below(count);
    count = 1 + rng_.below(count - from);
  }
  const uint64_t what = rng_.below(100);
  if (what < 5) return check_extents(block, from, count);
  if (what < 20) return check(block, from, count);
  if (what < 30) return shared_ ? look_at_neighbours() : check(block, from, count);
  if (zeroing ? what < 90 : what < 40) return change(block, from, Bytes(count), true);
  // Zeroes that are written take another path through the code than zero().
  if (what < 45) return change(block, from, Bytes(count), false);
  const Bytes fresh =
      habits_.stamps ? stamped_bytes(count) : make_data(count, rng_.pick(kAllData), rng_);
  return change(block, from, fresh, false);
}

std::string Owner::change(Block& block, uint64_t from, const Bytes& bytes, bool by_zero) {
  const uint64_t offset = block.offset + from;
  const Status status = by_zero ? disk_.zero(bytes.size(), offset) : disk_.write(bytes, offset);
  if (!status.ok()) {
    if (!habits_.may_fail) return where(offset) + status.message();
    if (status.errnum() != ENOMEM && status.errnum() != ENOSPC) {
      return where(offset) + "errno " + std::to_string(status.errnum());
    }
    return check_failed(block, from, bytes);
  }
  std::copy(bytes.begin(), bytes.end(), block.model.begin() + from);
  return check(block, from, bytes.size());
}

std::string Owner::check(Block& block, uint64_t from, uint64_t count) {
  const uint64_t offset = block.offset + from;
  Bytes got(count, std::byte{0xee});
  if (const Status status = disk_.read(got, offset); !status.ok()) {
    return where(offset) + "read: " + status.message();
  }
  verified_bytes_ += count;
  const std::span<std::byte> want = std::span(block.model).subspan(from, count);
  if (habits_.others_zero) {
    // A byte may have become zero; then it stays zero until it is written again.
    for (uint64_t i = 0; i < count; ++i) {
      if (got[i] == std::byte{0}) want[i] = std::byte{0};
    }
  }
  const std::string difference = first_difference(got, want, offset);
  return difference.empty() ? "" : where(offset) + difference;
}

// Each page of a request that failed has its old or its new bytes.
std::string Owner::check_failed(Block& block, uint64_t from, const Bytes& wanted) {
  const uint64_t offset = block.offset + from;
  for (uint64_t done = 0; done < wanted.size();) {
    const uint64_t at = offset + done;
    const uint64_t n = std::min(page_ - at % page_, wanted.size() - done);
    Bytes now(n);
    if (const Status status = disk_.read(now, at); !status.ok()) {
      return where(offset) + "read: " + status.message();
    }
    const auto model = block.model.begin() + from + done;
    const bool is_new = std::equal(now.begin(), now.end(), wanted.begin() + done);
    const bool is_old = std::equal(now.begin(), now.end(), model);
    if (!is_new && !is_old) return where(offset) + "neither old nor new after a failure";
    if (is_new) std::copy(now.begin(), now.end(), model);
    done += n;
  }
  return check(block, 0, block.model.size());
}

// Whatever the neighbours do, what holds data is not called a hole or zeroes.
std::string Owner::check_extents(const Block& block, uint64_t from, uint64_t count) {
  const uint64_t offset = block.offset + from;
  ExtentList found;
  if (const Status status = disk_.extents(count, offset, found); !status.ok()) {
    return where(offset) + "extents: " + status.message();
  }
  const std::string problem = check_cover(found.list(), count, offset);
  if (!problem.empty()) return where(offset) + problem;
  if (habits_.others_zero) return "";  // the model may be out of date
  for (const Extent& extent : found.list()) {
    const auto bytes = std::span(block.model).subspan(extent.offset - block.offset, extent.length);
    if (extent.kind != ExtentKind::data && !all_zero(bytes)) {
      return where(offset) + to_string(extent) + ", but there is data";
    }
  }
  return "";
}

// Reads a range of any owners: each byte is zero or was written by its owner.
std::string Owner::look_at_neighbours() {
  const uint64_t from = rng_.below(shared_->bytes());
  const uint64_t count = 1 + rng_.below(std::min<uint64_t>(shared_->bytes() - from, 2 * page_));
  Bytes got(count, std::byte{0xee});
  const uint64_t offset = shared_->base + from;
  if (const Status status = disk_.read(got, offset); !status.ok()) {
    return std::string("read of neighbours: ") + status.message();
  }
  if (!habits_.stamps) return "";
  for (uint64_t i = 0; i < count; ++i) {
    const int owner = shared_->owner_at(offset + i);
    const int value = static_cast<int>(got[i]);
    if (value != 0 && (value >> 4 != owner + 1 || (value & 15) == 0)) {
      return "byte " + std::to_string(offset + i) + " of owner " + std::to_string(owner) +
             " has the foreign value " + std::to_string(value);
    }
  }
  return "";
}

std::string Owner::write_all() {
  for (Block& block : blocks_) {
    ++steps_;
    const uint64_t count = block.model.size();
    const Bytes fresh =
        habits_.stamps ? stamped_bytes(count) : make_data(count, Data::random, rng_);
    const std::string problem = change(block, 0, fresh, false);
    if (!problem.empty()) return problem;
  }
  return "";
}

std::string Owner::verify() {
  for (Block& block : blocks_) {
    ++steps_;
    const std::string problem = check(block, 0, block.model.size());
    if (!problem.empty()) return "at the end: " + problem;
  }
  return "";
}

}  // namespace ramdisk::support
