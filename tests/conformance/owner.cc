// The requests and checks of owner.h.

#include "owner.h"

#include <algorithm>

#include "factory.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kMood = 24;  // steps after which an owner turns from writing to zeroing

// A byte of owner `id`: never 0, and the upper half tells the owner.
std::byte stamp(int id, uint64_t random) {
  return static_cast<std::byte>(((id + 1) << 4) | (1 + random % 15));
}

}  // namespace

Owner::Owner(Allocator& disk, const Slices& slices, int id, Habits habits)
    : disk_(disk),
      slices_(slices),
      id_(id),
      habits_(habits),
      page_(Allocator::kPreferredBlockSize),
      rng_(1000 + id),
      model_(slices.each, Bytes(slices.slice_bytes)) {}

std::string Owner::where(int slice, uint64_t from) const {
  return "owner " + std::to_string(id_) + ", step " + std::to_string(steps_) + ", byte " +
         std::to_string(slices_.offset(id_, slice) + from) + ": ";
}

Bytes Owner::fresh_bytes(uint64_t count) {
  if (!habits_.stamps) return make_data(count, rng_.pick(kAllData), rng_);
  Bytes bytes(count);
  // Long runs of one stamp pack well, mixed ones do not.
  const bool same = rng_.chance(50);
  const uint64_t first = rng_.next();
  for (std::byte& byte : bytes) byte = stamp(id_, same ? first : rng_.next());
  return bytes;
}

std::string Owner::step() {
  // Zeroing comes in waves that the owners go through roughly together: only then do whole pages
  // become zero and get freed while somebody is about to write to them.
  const bool zeroing = ++steps_ / kMood % 2 == 1;
  const int slice = static_cast<int>(rng_.below(slices_.each));
  uint64_t from = 0;
  uint64_t count = slices_.slice_bytes;
  if (rng_.chance(30)) {
    from = rng_.below(count);
    count = 1 + rng_.below(count - from);
  }
  const uint64_t what = rng_.below(100);
  if (what < 20) return check(slice, from, count);
  if (what < 30) return look_at_neighbours();
  if (zeroing ? what < 90 : what < 40) return change(slice, from, Bytes(count), true);
  // Written zeroes go another way through the code than zero().
  if (what < 45) return change(slice, from, Bytes(count), false);
  return change(slice, from, fresh_bytes(count), false);
}

std::string Owner::change(int slice, uint64_t from, const Bytes& bytes, bool by_zero) {
  const uint64_t offset = slices_.offset(id_, slice) + from;
  const Status status = by_zero ? disk_.zero(bytes.size(), offset) : disk_.write(bytes, offset);
  if (!status.ok()) {
    if (!habits_.may_fail) return where(slice, from) + status.message();
    if (status.errnum() != ENOMEM && status.errnum() != ENOSPC) {
      return where(slice, from) + "errno " + std::to_string(status.errnum());
    }
    return check_failed(slice, from, bytes);
  }
  std::copy(bytes.begin(), bytes.end(), model_[slice].begin() + from);
  return check(slice, from, bytes.size());
}

std::string Owner::check(int slice, uint64_t from, uint64_t count) {
  const uint64_t offset = slices_.offset(id_, slice) + from;
  Bytes got(count, std::byte{0xee});
  if (const Status status = disk_.read(got, offset); !status.ok()) {
    return where(slice, from) + "read: " + status.message();
  }
  Bytes want(model_[slice].begin() + from, model_[slice].begin() + from + count);
  if (habits_.others_zero) {
    // A byte may have become zero, and then it stays so until it is written again.
    for (uint64_t i = 0; i < count; ++i) {
      if (got[i] == std::byte{0}) want[i] = std::byte{0};
    }
    std::copy(want.begin(), want.end(), model_[slice].begin() + from);
  }
  const std::string difference = first_difference(got, want, offset);
  return difference.empty() ? "" : where(slice, from) + difference;
}

// Each page of a request that failed has its old or its new bytes.
std::string Owner::check_failed(int slice, uint64_t from, const Bytes& wanted) {
  const uint64_t offset = slices_.offset(id_, slice) + from;
  Bytes& model = model_[slice];
  for (uint64_t done = 0; done < wanted.size();) {
    const uint64_t at = offset + done;
    const uint64_t n = std::min(page_ - at % page_, wanted.size() - done);
    Bytes now(n);
    if (const Status status = disk_.read(now, at); !status.ok()) {
      return where(slice, from) + "read: " + status.message();
    }
    const bool is_new = std::equal(now.begin(), now.end(), wanted.begin() + done);
    const bool is_old = std::equal(now.begin(), now.end(), model.begin() + from + done);
    if (!is_new && !is_old) return where(slice, from) + "neither old nor new after a failure";
    if (is_new) std::copy(now.begin(), now.end(), model.begin() + from + done);
    done += n;
  }
  return check(slice, 0, slices_.slice_bytes);
}

// Reads a range that is anybody's: each byte is zero or was written by its owner.
std::string Owner::look_at_neighbours() {
  const uint64_t from = rng_.below(slices_.bytes());
  const uint64_t count = 1 + rng_.below(std::min<uint64_t>(slices_.bytes() - from, 2 * page_));
  Bytes got(count, std::byte{0xee});
  const uint64_t offset = slices_.base + from;
  if (const Status status = disk_.read(got, offset); !status.ok()) {
    return std::string("read of neighbours: ") + status.message();
  }
  if (!habits_.stamps) return "";
  for (uint64_t i = 0; i < count; ++i) {
    const int owner = slices_.owner_at(offset + i);
    const int value = static_cast<int>(got[i]);
    if (value != 0 && (value >> 4 != owner + 1 || (value & 15) == 0)) {
      return "byte " + std::to_string(offset + i) + " of owner " + std::to_string(owner) +
             " has the foreign value " + std::to_string(value);
    }
  }
  return "";
}

std::string Owner::write_all() {
  for (int slice = 0; slice < slices_.each; ++slice) {
    const std::string problem = change(slice, 0, fresh_bytes(slices_.slice_bytes), false);
    if (!problem.empty()) return problem;
  }
  return "";
}

std::string Owner::verify() {
  for (int slice = 0; slice < slices_.each; ++slice) {
    const std::string problem = check(slice, 0, slices_.slice_bytes);
    if (!problem.empty()) return "at the end: " + problem;
  }
  return "";
}

}  // namespace ramdisk::conformance
