// The operations of disk_program.h.

#include "disk_program.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#ifdef RAMDISK_HAVE_ZSTD
#include "support/zstd_variants.h"
#endif

namespace ramdisk::fuzz {
namespace {

using conformance::Base;
using conformance::Bytes;
using conformance::Data;
using conformance::ExtentList;
using conformance::FailingMemory;
using conformance::Memory;
using conformance::Rng;

constexpr int kMostOperations = 64;
constexpr size_t kStep = 64 << 10;  // in which memory is taken

// Small ones, which are compared as a whole, and those that no vector holds.
constexpr std::array<uint64_t, 24> kSizes = {70000,
                                             (129 << 20) + 77,
                                             (1 << 20) + 4097,
                                             uint64_t{INT64_MAX},
                                             0,
                                             1,
                                             511,
                                             4095,
                                             4096,
                                             4097,
                                             16383,
                                             16384,
                                             16385,
                                             65536,
                                             81921,
                                             262143,
                                             (1 << 20) - 1,
                                             1 << 20,
                                             uint64_t{1} << 32,
                                             (uint64_t{1} << 32) + 1,
                                             (uint64_t{1} << 40) - 4097,
                                             (uint64_t{1} << 62) - 4095,
                                             (256 << 20) + 1,
                                             65 << 20};
// malloc takes all its memory at the start.
constexpr uint64_t kLargestPlain = (2 << 20) + 123;

AllocatorOptions choose_options(Input& input) {
  const unsigned choice = input.byte() % 16;
#ifdef RAMDISK_HAVE_ZSTD
  if (choice >= 6) {
    AllocatorOptions options = options_of(conformance::kZstdVariants[choice % 5]);
    if (choice == 15) options.level = -5;
    return options;
  }
#endif
  return {.type = choice % 3 == 2 ? AllocatorType::malloc : AllocatorType::sparse};
}

// The usual pace leaves the background nothing to do within an input's life.
BackgroundTiming choose_pace([[maybe_unused]] unsigned code) {
#ifdef RAMDISK_HAVE_ZSTD
  if (code % 2 == 1) return conformance::hasty();
#endif
  return {};
}

// Three disks in sixteen are clones.
Base choose_base(unsigned code, AllocatorType type) {
  if (type == AllocatorType::malloc || code < 192 || code >= 240) return Base::none;
  return code < 208 ? Base::empty : code < 224 ? Base::data : Base::zeroed;
}

std::unique_ptr<FailingMemory> choose_memory(Input& input) {
  // Blocks of the portable kind come from malloc, where the address sanitizer watches their ends.
  constexpr std::array kMemories = {Memory::small_pages, Memory::portable, Memory::system};
  return std::make_unique<FailingMemory>(conformance::make_memory(input.pick(kMemories)));
}

Bytes text_of(size_t count) {
  Rng rng(1);
  return make_data(count, Data::text, rng);
}

}  // namespace

DiskProgram::DiskProgram(Input input)
    : input_(input), options_(choose_options(input_)), bytes_(input_.pick(kSizes)) {
  if (options_.type == AllocatorType::malloc) bytes_ = std::min(bytes_, kLargestPlain);
  memory_ = choose_memory(input_);
  const unsigned code = input_.byte();
  base_ = choose_base(code, options_.type);
  const unsigned scarce = input_.byte();
  if (scarce % 4 == 1) memory_->fail_once(scarce / 4);
  disk_ = std::make_unique<conformance::Disk>(options_, bytes_, *memory_, choose_pace(code), base_);
  memory_->allow();
  may_fail_ = scarce % 4 == 2;
  if (may_fail_) memory_->limit(memory_->held_bytes() + scarce / 4 % 16 * kStep);
}

bool DiskProgram::run() {
  if (disk_->works()) {
    places_ = std::make_unique<conformance::Places>(bytes_);
    session_ = std::make_unique<conformance::Session>(*disk_, options_.type, bytes_);
    for (int n = 0; n < kMostOperations && !input_.empty(); ++n) {
      step();
      if (testing::Test::HasFailure()) return false;
    }
    finish();
  } else {
    EXPECT_TRUE(disk_->status().errnum() == ENOMEM || disk_->status().errnum() == ENOSPC)
        << disk_->status().message();
    EXPECT_GT(memory_->failures(), 0u) << disk_->status().message();
  }
  disk_->stop();
  EXPECT_EQ(memory_->mapped_bytes(), 0u);
  EXPECT_EQ(memory_->misuse(), "");
  return !testing::Test::HasFailure();
}

void DiskProgram::step() {
  const unsigned what = input_.byte() % 16;
  if (what < 6) return write(place());
  if (what < 9) return zero(place());
  if (what == 9) {
    const uint64_t from = offset();
    return zero({from, far_count(from)});
  }
  if (what == 10) {
    const Place there = place();
    return session_->check(there.count, there.offset);
  }
  if (what == 11) {
    const uint64_t from = offset();
    return session_->check_extents_only(far_count(from), from);
  }
  if (what == 12) return first_extent(place());
  if (what == 13) return fail();
  if (what == 14) return rest();
  if (input_.byte() < 96) fill();
}

// ---- places

// Near the edges of pages, groups of pages, directories, slabs, powers of two and the disk.
uint64_t DiskProgram::offset() {
  constexpr std::array<uint64_t, 4> kUnits = {4096, 16384, 1 << 20, 512};
  const uint64_t edge = input_.pick(places_->edges());
  const unsigned code = input_.byte();
  const uint64_t away = kUnits[code % kUnits.size()] * (code / kUnits.size() % 16);
  const bool down = code >= 128;
  const auto little = static_cast<int8_t>(input_.byte());
  uint64_t at = down ? edge - std::min(edge, away) : edge + std::min(bytes_ - edge, away);
  at = little < 0 ? at - std::min<uint64_t>(at, -little)
                  : at + std::min<uint64_t>(bytes_ - at, little);
  return at;
}

uint64_t DiskProgram::count() {
  const unsigned code = input_.byte();
  if (code < 64) return code;
  if (code < 128) return uint64_t{4096} * (1 + code % 16);
  if (code < 192) return uint64_t{4096} * (1 + code % 8) + static_cast<int8_t>(input_.byte());
  return input_.two_bytes() * (1 + code % 2);
}

DiskProgram::Place DiskProgram::place() {
  const uint64_t from = offset();
  return {from, std::min(count(), bytes_ - from)};
}

// Up to another edge, or as much as a request of NBD can ask for.
uint64_t DiskProgram::far_count(uint64_t from) {
  const uint64_t to = offset();
  const uint64_t most = bytes_ - from;
  return to > from ? to - from : std::min<uint64_t>(most, UINT32_MAX);
}

// ---- operations

// Compares a range and what lies beside it, up to a page.
void DiskProgram::check_near(Place place) {
  const uint64_t page = session_->page_bytes();
  const uint64_t from = place.offset - std::min(place.offset, page);
  const uint64_t end = place.offset + place.count;
  session_->check(end + std::min(bytes_ - end, page) - from, from);
}

void DiskProgram::write(Place place) {
  const unsigned code = input_.byte();
  Rng rng(code);
  const Bytes data = make_data(place.count, conformance::kAllData[code % 5], rng);
  if (may_fail_) {
    session_->try_write(data, place.offset);
  } else {
    session_->write(data, place.offset);
  }
  check_near(place);
}

// Whole pages need no memory, so they may not fail either, except in a clone, which may have to
// mark pages that its base stores.
void DiskProgram::zero(Place place) {
  const uint64_t page = session_->page_bytes();
  const uint64_t end = place.offset + place.count;
  if (may_fail_ && (base_ == Base::data || place.offset % page != 0 || end % page != 0)) {
    session_->try_zero(place.count, place.offset);
  } else {
    session_->zero(place.count, place.offset);
  }
  if (place.count <= (1 << 20)) return check_near(place);
  check_near({place.offset, 0});
  check_near({end, 0});
  session_->check_extents_only(place.count, place.offset);
}

// Enough pages that compress for a dictionary, for gaps and for all kinds of groups. Slow, so that
// an input has one at most.
void DiskProgram::fill() {
  constexpr uint64_t kPiece = 192 << 10;
  constexpr uint64_t kPieces = 16;
  static const Bytes text = text_of((kPieces + 1) * kPiece);
  const uint64_t from = offset();
  const unsigned code = input_.byte();
  if (filled_) return;
  filled_ = true;
  const uint64_t count = std::min(kPiece * (1 + code % kPieces), bytes_ - from);
  const auto data = std::span(text).subspan(code * 512, count);
  if (may_fail_) {
    session_->try_write(data, from);
  } else {
    session_->write(data, from);
  }
  session_->check(count, from);
}

// A visitor that has seen enough gets no further extents.
void DiskProgram::first_extent(Place place) {
  ExtentList first(1);
  EXPECT_TRUE((*disk_)->extents(place.count, place.offset, first).ok());
  EXPECT_FALSE(first.told_too_much());
  EXPECT_EQ(first.list().size(), place.count > 0 ? 1u : 0u);
  const auto all = conformance::extents_of(**disk_, place.count, place.offset);
  if (!first.list().empty()) {
    EXPECT_EQ(first.list().front(), all.front()) << "after " << session_->last_step();
  }
}

void DiskProgram::fail() {
  const unsigned code = input_.byte();
  const unsigned number = code / 8;
  may_fail_ = true;
  switch (code % 8) {
    case 0:
      memory_->allow();
      may_fail_ = false;
      return;
    case 1:
      return memory_->fail_once(number % 16);
    case 2:
      return memory_->fail_from(number % 4);
    case 3:
      return memory_->fail_one_in(1 + number % 4);
    case 4:
      return memory_->limit(memory_->held_bytes() + number * kStep);
    case 5:
      return memory_->limit(memory_->held_bytes());
    case 6:
      return memory_->refuse_discard(true);
    default:
      return memory_->refuse_discard(false);
  }
}

// Lets background work come to what is there, as far as it has any; then reads meet its results.
void DiskProgram::rest() {
  const unsigned code = input_.byte();
  if (options_.type != AllocatorType::zstd || ++rests_ > 3) return;
  std::this_thread::sleep_for(std::chrono::milliseconds(1 + code % 4));
}

// ---- the end

void DiskProgram::finish() {
  memory_->allow();
  session_->check_everything();
  if (base_ != Base::data) check_stored_bytes();  // a clone counts what is its own
  session_->zero(bytes_, 0);
  session_->check_everything();
  check_stored_bytes();
}

// What is said to be stored are the pages that are no holes.
void DiskProgram::check_stored_bytes() {
  const uint64_t page = session_->page_bytes();
  uint64_t stored = 0;
  for (const auto& extent : conformance::extents_of(**disk_, bytes_, 0)) {
    if (extent.kind != ExtentKind::hole) stored += (extent.length + page - 1) / page * page;
  }
  const Usage usage = (*disk_)->usage();
  const bool plain = options_.type == AllocatorType::malloc;
  EXPECT_EQ(usage.stored_bytes, plain ? bytes_ : std::min(bytes_, stored));
}

}  // namespace ramdisk::fuzz
