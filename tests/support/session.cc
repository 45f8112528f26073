// The steps and comparisons of session.h.

#include "support/session.h"

#include <algorithm>

namespace ramdisk::support {
namespace {

constexpr uint64_t kAround = 64 << 10;
constexpr uint64_t kReadPiece = 1 << 20;
constexpr uint64_t kLookPiece = 32 << 10;

std::string describe(const char* what, uint64_t count, uint64_t offset) {
  return std::string(what) + " " + std::to_string(count) + " at " + std::to_string(offset);
}

bool out_of_memory(const Status& status) {
  return status.errnum() == ENOMEM || status.errnum() == ENOSPC;
}

}  // namespace

Session::Session(Disk& disk, AllocatorType type, uint64_t disk_bytes)
    : Session(*disk, disk_bytes, {.holes = has_holes(type)}) {
  if (disk.content()) begin_with(*disk.content());
}

Session::Session(Allocator& disk, uint64_t disk_bytes, Limits limits)
    : disk_(disk),
      limits_(limits),
      bytes_(disk_bytes),
      model_(make_model(disk_bytes)),
      kept_(limits.page_bytes, disk_bytes) {}

void Session::begin_with(Allocator& base) {
  for (const Extent& extent : extents_of(base, bytes_, 0)) {
    if (extent.kind == ExtentKind::hole) continue;
    model_->write(read_back(base, extent.length, extent.offset), extent.offset);
    kept_.write(extent.length, extent.offset);
  }
}

void Session::write(std::span<const std::byte> data, uint64_t offset) {
  step_ = describe("write", data.size(), offset);
  const Status status = disk_.write(data, offset);
  EXPECT_TRUE(status.ok()) << step_ << ": " << status.message();
  model_->write(data, offset);
  kept_.write(data.size(), offset);
}

void Session::zero(uint64_t count, uint64_t offset) {
  step_ = describe("zero", count, offset);
  const Status status = disk_.zero(count, offset);
  EXPECT_TRUE(status.ok()) << step_ << ": " << status.message();
  model_->zero(count, offset);
  kept_.zero(count, offset);
}

bool Session::try_write(std::span<const std::byte> data, uint64_t offset) {
  step_ = describe("write that may fail", data.size(), offset);
  const Status status = disk_.write(data, offset);
  kept_.write(data.size(), offset);
  if (status.ok()) {
    model_->write(data, offset);
  } else {
    adopt(status, data.data(), data.size(), offset);
  }
  return status.ok();
}

bool Session::try_zero(uint64_t count, uint64_t offset) {
  step_ = describe("zero that may fail", count, offset);
  const Status status = disk_.zero(count, offset);
  if (status.ok()) {
    model_->zero(count, offset);
    kept_.zero(count, offset);
  } else {
    adopt(status, nullptr, count, offset);
  }
  return status.ok();
}

// After a failed request: compares each page it may have touched, and its neighbours, with the old
// and the new content, and copies the new pages to the model. `wanted` is null for zeroes.
void Session::adopt(const Status& failed, const std::byte* wanted, uint64_t count,
                    uint64_t offset) {
  EXPECT_TRUE(out_of_memory(failed)) << step_ << ": errno " << failed.errnum();
  EXPECT_STRNE(failed.message(), "") << step_;
  const uint64_t page = page_bytes();
  const uint64_t end = offset + count;
  for (const uint64_t number : pages_to_adopt(wanted != nullptr, count, offset)) {
    const uint64_t at = number * page;
    if (at >= bytes_) continue;
    const uint64_t length = std::min(page, bytes_ - at);
    const Bytes old = model_->read(length, at);
    Bytes fresh = old;
    const uint64_t from = std::max(at, offset);
    const uint64_t to = std::min(at + length, end);
    if (from < to && wanted != nullptr) {
      std::copy_n(wanted + (from - offset), to - from, fresh.begin() + (from - at));
    } else if (from < to) {
      std::fill_n(fresh.begin() + (from - at), to - from, std::byte{0});
    }
    const Bytes now = read_back(disk_, length, at);
    if (now == fresh) {
      model_->write(now, at);
    } else {
      EXPECT_EQ(first_difference(now, old, at), "") << step_ << ": neither old nor new";
    }
  }
}

// The numbers of the pages that a request may have changed, and of one on each side. Of a zero,
// whose range may be large, only the pages at the ends and those that hold data: all others read as
// zeroes before and after.
std::set<uint64_t> Session::pages_to_adopt(bool all, uint64_t count, uint64_t offset) const {
  const uint64_t page = page_bytes();
  const uint64_t first = offset / page - std::min<uint64_t>(1, offset / page);
  const uint64_t last = (offset + count) / page + 1;
  std::set<uint64_t> pages = {first, first + 1, last - 1, last};
  if (all) {
    for (uint64_t number = first; number < last; ++number) pages.insert(number);
  } else {
    for (const uint64_t piece : model_->pieces()) {
      if (const uint64_t number = piece / page; first < number && number < last)
        pages.insert(number);
    }
  }
  return pages;
}

void Session::check_extents_only(uint64_t count, uint64_t offset) {
  EXPECT_EQ(check_extents(disk_, *model_, limits_.holes ? &kept_ : nullptr, count, offset), "")
      << describe("extents", count, offset) << " after " << step_;
}

void Session::check(uint64_t count, uint64_t offset) {
  for (uint64_t done = 0; done < count; done += kReadPiece) {
    const uint64_t n = std::min(kReadPiece, count - done);
    const uint64_t at = offset + done;
    EXPECT_EQ(first_difference(read_back(disk_, n, at), model_->read(n, at), at), "")
        << describe("read", n, at) << " after " << step_;
  }
  check_extents_only(count, offset);
}

void Session::check_around(uint64_t count, uint64_t offset) {
  const uint64_t from = offset - std::min(offset, kAround);
  const uint64_t to = offset + count + std::min(bytes_ - offset - count, kAround);
  check(to - from, from);
}

void Session::check_everything() {
  uint64_t seen = 0;
  for (const uint64_t piece : model_->pieces()) {
    // Pieces come in order, and the check of the one before may have covered this one.
    if (piece < seen || piece >= bytes_) continue;
    seen = piece + std::min(kLookPiece, bytes_ - piece);
    check(seen - piece, piece);
    if (testing::Test::HasFailure()) return;
  }
  check_extents_only(std::min(bytes_, longest_request()), 0);
}

void random_steps(Session& session, const Places& places, int steps, uint64_t most, Rng& rng) {
  for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
    const Range range = places.next(most, rng);
    const uint64_t what = rng.below(100);
    if (what < 50) {
      session.write(make_data(range.count, rng.pick(kAllData), rng), range.offset);
    } else if (what < 70) {
      session.zero(range.count, range.offset);
    } else if (what < 73) {
      const Range far = places.far(rng);
      session.zero(std::min(far.count, session.longest_request()), far.offset);
    } else if (what < 85) {
      session.check(range.count, range.offset);
      continue;
    } else {
      const Range far = places.far(rng);
      session.check_extents_only(std::min(far.count, session.longest_request()), far.offset);
      continue;
    }
    session.check_around(range.count, range.offset);
  }
  session.check_everything();
}

}  // namespace ramdisk::support
