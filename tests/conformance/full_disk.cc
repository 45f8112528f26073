// The disk declared in full_disk.h.

#include "full_disk.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/page.h"
#include "support/waiting.h"
#ifdef RAMDISK_HAVE_ZSTD
#include "zstd/segment_store.h"
#endif

namespace ramdisk::conformance {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kDiskBytes = uint64_t{1} << 40;
#ifdef RAMDISK_HAVE_ZSTD
constexpr double kSegment = SegmentStore::kSegmentBytes;
#else
constexpr double kSegment = 0;
#endif
constexpr uint64_t kPiecePages = 16;  // in the 64 KiB requests that write data again
// The bytes written to a page of which only the beginning is written; the others are zeroes.
constexpr uint64_t kSliver = 512;
constexpr PageId kSliverBit = PageId{1} << 59;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// The ticks are faster than in the product, where there is about one a second. The environment
// variable RAMDISK_FULL_DISK_TICK_MS changes them.
BackgroundTiming pace_of_test() {
  const char* given = std::getenv("RAMDISK_FULL_DISK_TICK_MS");
  BackgroundTiming pace;
  pace.tick = std::chrono::milliseconds(given ? std::atoi(given) : 50);
  return pace;
}

AllocatorOptions options_of(const FullDiskSetup& setup) {
  AllocatorOptions options;
  options.type = setup.type;
  options.recompress = setup.recompress;
  return options;
}

void content_of(PageId id, std::span<std::byte> out) {
  if (id & kSliverBit && out.size() > kSliver) {
    std::memset(&out[kSliver], 0, out.size() - kSliver);
    out = out.first(kSliver);
  }
  copy_page(id & ~kSliverBit, out);
}

}  // namespace

void PrintTo(const FullDiskSetup& setup, std::ostream* out) {
  *out << allocator_name(setup.type);
  if (setup.type == AllocatorType::zstd) *out << (setup.recompress ? "" : "_no_recompress");
  *out << "_" << setup.limit_mib << "M_" << name_of(setup.matter);
}

std::string name_of_setup(const testing::TestParamInfo<FullDiskSetup>& info) {
  return testing::PrintToString(info.param);
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", share * 100);
  return text;
}

std::string mib(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f MiB", double(bytes) / (1 << 20));
  return text;
}

FullDisk::FullDisk(const FullDiskSetup& setup)
    : setup_(setup),
      memory_(make_system_memory(), {.limit = setup.limit_mib << 20, .probe = {}, .on_mark = {}}),
      disk_(options_of(setup), kDiskBytes, memory_, pace_of_test()),
      used_empty_(memory_.budget().used()),
      watcher_([this] { watch(); }) {}

FullDisk::~FullDisk() {
  stopping_ = true;
  watcher_.join();
  EXPECT_LE(most_used_.load(), limit()) << "more was used than the limit allows";
}

void FullDisk::watch() {
  watcher_tid_ = gettid();
  while (!stopping_) {
    for (int i = 0; i < 100; ++i) {
      const uint64_t now = used();
      if (now > most_used_) most_used_ = now;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

uint64_t FullDisk::stored_pages() const {
  return static_cast<uint64_t>(
      std::count_if(ids_.begin(), ids_.end(), [](PageId id) { return id != 0; }));
}

double FullDisk::packed_pages() const {
  double pages = 0;
  for (const PageId id : ids_) pages += id == 0 ? 0 : packed_share(id);
  return pages;
}

bool FullDisk::send(uint64_t page, std::span<const std::byte> data, Tally* tally) {
  const auto start = Clock::now();
  const Status status = disk_->write(data, page * kPageBytes);
  if (tally) {
    const double ms = ms_since(start);
    ++tally->tried;
    tally->accepted += status.ok();
    tally->slowest_ms = std::max(tally->slowest_ms, ms);
    tally->total_ms += ms;
  }
  const uint64_t now = used();
  if (now > most_used_) most_used_ = now;
  return status.ok();
}

bool FullDisk::write(uint64_t page, uint64_t bytes, Matter matter, uint64_t n, Tally* tally) {
  const uint64_t count = std::max<uint64_t>(1, bytes / kPageBytes);
  std::vector<PageId> fresh(count);
  Bytes data(bytes);
  for (uint64_t i = 0; i < count; ++i) {
    fresh[i] = page_id(matter, n + i) | (bytes < kPageBytes ? kSliverBit : 0);
    content_of(fresh[i],
               std::span(data).subspan(i * kPageBytes, std::min<size_t>(bytes, kPageBytes)));
  }
  const bool accepted = send(page, data, tally);
  if (ids_.size() < page + count) ids_.resize(page + count);
  if (accepted) {
    std::copy(fresh.begin(), fresh.end(), &ids_[page]);
  } else {
    resolve(page, fresh);
  }
  return accepted;
}

bool FullDisk::page_holds(uint64_t page, PageId id) {
  Bytes want(kPageBytes);
  content_of(id, want);
  return read_back(*disk_, kPageBytes, page * kPageBytes) == want;
}

// After a refusal each page has its old bytes or its new ones. Finds out which, and expects those
// from now on.
void FullDisk::resolve(uint64_t page, const std::vector<PageId>& fresh) {
  for (size_t i = 0; i < fresh.size(); ++i) {
    PageId& id = ids_[page + i];
    if (page_holds(page + i, id)) continue;
    EXPECT_TRUE(page_holds(page + i, fresh[i])) << "neither old nor new: page " << page + i;
    id = fresh[i];
  }
}

uint64_t FullDisk::fill(uint64_t bytes) {
  const uint64_t count = std::max<uint64_t>(1, bytes / kPageBytes);
  uint64_t stored = 0;
  for (; pages() < kDiskBytes / kPageBytes; stored += bytes) {
    const uint64_t n = next_;
    next_ += count;
    if (!write(pages(), bytes, setup_.matter, n)) break;
  }
  full_ = packed_pages();
  return stored;
}

template <typename Chosen>
Tally FullDisk::overwrite_if(Chosen chosen, uint64_t count, Matter with) {
  Tally tally;
  while (tally.tried < count && tally.refused() <= count / 20) {
    const uint64_t page = rng_.below(pages());
    if (chosen(ids_[page])) write(page, kPageBytes, with, rng_.below(next_), &tally);
  }
  return tally;
}

Tally FullDisk::overwrite(uint64_t count) {
  const bool with_noise = setup_.matter == Matter::noise || setup_.matter == Matter::mixture;
  const auto alike = [&](PageId id) { return id != 0 && (with_noise || !is_noise(id)); };
  return overwrite_if(alike, count, setup_.matter);
}

Tally FullDisk::overwrite_noise(uint64_t count, Matter with) {
  const uint64_t noise = static_cast<uint64_t>(std::count_if(ids_.begin(), ids_.end(), is_noise));
  return overwrite_if(is_noise, std::min(count, noise * 9 / 10), with);
}

void FullDisk::trim(PageRun run) {
  const Status status = disk_->zero(run.count * kPageBytes, run.first * kPageBytes);
  EXPECT_TRUE(status.ok()) << "a trim was refused: " << status.message();
  std::fill_n(&ids_[run.first], run.count, PageId{0});
}

FullDisk::GivenBack FullDisk::trim_all(const std::vector<PageRun>& runs) {
  settle();
  const double all = packed_pages();
  const uint64_t stored = stored_pages() * kPageBytes;
  const uint64_t before = used();
  const double taken = double(before - std::min(before, used_empty_));
  double trimmed = 0;
  uint64_t trimmed_bytes = 0;
  for (const PageRun& run : runs) {
    for (uint64_t i = 0; i < run.count; ++i) {
      const PageId id = ids_[run.first + i];
      trimmed += id == 0 ? 0 : packed_share(id);
      trimmed_bytes += id == 0 ? 0 : kPageBytes;
    }
    trim(run);
  }
  const double fair = taken * trimmed / all;
  GivenBack given;
  given.segment = kSegment / fair;
  const auto share_now = [&] {
    const uint64_t now = used();
    given.bytes = before - std::min(before, now);
    return double(given.bytes) / fair;
  };
  const auto start = Clock::now();
  while ((given.soon = share_now()) < 1 && ms_since(start) < 1000) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  // A busy machine may need longer than that. But memory that was returned may also be in use again
  // by now, for a better dictionary, say.
  settle();
  given.later = share_now();
  given.content =
      std::min(trimmed_bytes, static_cast<uint64_t>(double(stored) * double(given.bytes) / taken));
  return given;
}

Tally FullDisk::refill(const std::vector<PageRun>& runs, uint64_t bytes) {
  Tally tally;
  uint64_t left = bytes / kPageBytes;
  uint64_t n = rng_.below(next_ / kPiecePages) * kPiecePages;
  const double known = setup_.matter == Matter::noise ? 1 : 0.95;  // packed_share() of the others
  double room = (full_ - packed_pages()) * known;
  for (const PageRun& run : runs) {
    for (uint64_t at = 0; at < run.count && left > 0; at += kPiecePages) {
      const uint64_t count = std::min({kPiecePages, run.count - at, left});
      left -= count;
      for (uint64_t i = 0; i < count; ++i) {
        room -= packed_share(page_id(setup_.matter, n % next_ + i));
      }
      if (room < 0) return tally;
      write(run.first + at, count * kPageBytes, setup_.matter, n % next_, &tally);
      n += count;
      if (tally.refused() > 50) return tally;
    }
  }
  return tally;
}

void FullDisk::settle() {
  const std::chrono::seconds patience(slow_build() ? 60 : 20);
  static_cast<void>(comes_to_rest([this] { return used(); }, patience, watcher_tid_));
}

void FullDisk::verify() {
  constexpr uint64_t kPages = 256;
  Bytes want(kPages * kPageBytes);
  for (uint64_t first = 0; first < pages(); first += kPages) {
    const uint64_t count = std::min(kPages, pages() - first);
    want.resize(count * kPageBytes);
    for (uint64_t i = 0; i < count; ++i) {
      content_of(ids_[first + i], std::span(want).subspan(i * kPageBytes, kPageBytes));
    }
    ASSERT_EQ(first_difference(read_back(*disk_, want.size(), first * kPageBytes), want,
                               first * kPageBytes),
              "");
  }
}

void FullDisk::report(const std::string& row, const std::string& figure) const {
  std::printf("full disk | %s | %s | %s\n", testing::PrintToString(setup_).c_str(), row.c_str(),
              figure.c_str());
  std::fflush(stdout);
}

void FullDisk::report(const std::string& row, const Tally& tally) const {
  char text[160];
  std::snprintf(text, sizeof text, "%s of %llu, mean %.3f ms, slowest %.1f ms",
                percent(tally.share()).c_str(), static_cast<unsigned long long>(tally.tried),
                tally.total_ms / double(std::max<uint64_t>(1, tally.tried)), tally.slowest_ms);
  report(row, std::string(text));
}

std::vector<PageRun> random_runs(uint64_t pages, uint64_t run, double part, Rng& rng) {
  std::vector<PageRun> runs;
  for (uint64_t first = 0; first + run <= pages; first += run) runs.push_back({first, run});
  for (size_t i = runs.size(); i > 1; --i) std::swap(runs[i - 1], runs[rng.below(i)]);
  runs.resize(static_cast<size_t>(double(runs.size()) * part));
  return runs;
}

std::vector<PageRun> every_second_run(uint64_t pages, uint64_t run) {
  std::vector<PageRun> runs;
  for (uint64_t first = 0; first + run <= pages; first += 2 * run) runs.push_back({first, run});
  return runs;
}

}  // namespace ramdisk::conformance
