// The histories declared in limit_history.h.

#include "limit_history.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/page.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kDiskBytes = uint64_t{1} << 40;
constexpr uint64_t kRun = 64 << 10;  // one thread's pages; those of the next thread follow
constexpr uint64_t kLimitStep = 64 << 10;
constexpr uint64_t kLargestLeast = 64 * kMiB;

std::string where(const char* what, uint64_t at) {
  return std::string(what) + " at " + std::to_string(at);
}

std::unique_ptr<FailingMemory> make_failing(FailingMemory** keep) {
  auto memory = std::make_unique<FailingMemory>();
  *keep = memory.get();
  return memory;
}

bool starts_with_limit(const AllocatorOptions& options, uint64_t limit, BackgroundTiming pace) {
  BudgetedMemory memory(make_system_memory(), {.limit = limit, .probe = {}, .on_mark = {}});
  return Disk(options, kDiskBytes, memory, pace).works();
}

}  // namespace

uint64_t least_limit(const AllocatorOptions& options, BackgroundTiming pace) {
  uint64_t no = 0;
  uint64_t yes = kLargestLeast / kLimitStep;
  while (yes - no > 1) {
    const uint64_t middle = (no + yes) / 2;
    (starts_with_limit(options, middle * kLimitStep, pace) ? yes : no) = middle;
  }
  return yes * kLimitStep;
}

// ---- the disk

LimitedDisk::LimitedDisk(const AllocatorOptions& options, uint64_t limit, BackgroundTiming pace)
    : limit_(limit),
      memory_(make_failing(&failing_), {.limit = limit, .probe = {}, .on_mark = {}}),
      disk_(options, kDiskBytes, memory_, pace),
      used_empty_(memory_.budget().used()),
      watcher_([this] {
        while (!stopping_) {
          for (int i = 0; i < 100; ++i) most_used_ = std::max(most_used_.load(), used());
          std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
      }) {}

LimitedDisk::~LimitedDisk() {
  stopping_ = true;
  watcher_.join();
}

void LimitedDisk::fail(uint64_t one_in) {
  weather_ |= 1;
  failing_->fail_one_in(one_in);
}

void LimitedDisk::allow() {
  failing_->allow();
  if (weather_ % 2 == 1) ++weather_;
}

std::string LimitedDisk::empty() {
  allow();
  if (!disk_->zero(kDiskBytes, 0).ok()) return "a trim of everything was refused";
  if (disk_->usage().stored_bytes != 0) return "something is still stored";
  constexpr uint64_t kKept = 8 * kMiB;  // free memory and a second dictionary
  for (int i = 0; i < 10000 && used() > used_empty_ + kKept; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (used() <= used_empty_ + kKept) return "";
  return "an empty disk uses " + std::to_string(used()) + " bytes, at first it was " +
         std::to_string(used_empty_);
}

// ---- the history

LimitHistory::LimitHistory(LimitedDisk& disk, Choices& choices, uint64_t thread, uint64_t threads)
    : limited_(disk),
      disk_(*disk.disk()),
      choices_(choices),
      thread_(thread),
      threads_(threads),
      model_(disk.limit() * 4 / threads / kRun * kRun) {}

uint64_t LimitHistory::to_disk(uint64_t at) const {
  return (at / kRun * threads_ + thread_) * kRun + at % kRun;
}

// Returns how many bytes from `place` are contiguous on the disk.
uint64_t LimitHistory::to_run_end(Place place) const {
  return threads_ == 1 ? place.count : std::min(place.count, kRun - place.at % kRun);
}

std::string LimitHistory::fill() {
  matter_ = static_cast<Matter>(choices_.below(4));
  fill_up(90 + choices_.below(11));
  return complaint_;
}

// Writes into one empty run after the other until `percent` of the limit is used.
void LimitHistory::fill_up(uint64_t percent) {
  const uint64_t target = limited_.limit() / 100 * percent;
  Bytes data(kRun);
  for (uint64_t runs = model_.size() / kRun; runs > 0 && limited_.used() < target; --runs) {
    const Place place{fill_at_, kRun};
    fill_at_ = (fill_at_ + kRun) % model_.size();
    if (!all_zero(std::span(model_).subspan(place.at, kRun))) continue;
    for (uint64_t i = 0; i < kRun; i += kPageBytes) {
      copy_page(page_id(matter_, next_page_++), std::span(data).subspan(i, kPageBytes));
    }
    if (!change(place, data)) return;
  }
}

std::string LimitHistory::run(int steps) {
  for (int i = 0; i < steps && !choices_.ended(); ++i) {
    // Bad weather is ended soon, or it would last most of the time.
    if (thread_ == 0 && limited_.weather() % 2 == 1 && ++bad_steps_ % 8 == 0) limited_.allow();
    if (limited_.weather() % 2 == 0) fill_up(90 + choices_.below(4) * 10 / 3);
    std::string complaint = step();
    if (complaint.empty()) complaint = complaint_;
    if (!complaint.empty()) return "step " + std::to_string(i) + ": " + complaint;
  }
  return "";
}

std::string LimitHistory::step() {
  const uint64_t what = choices_.below(16);
  if (what < 4) return write_anything();
  if (what < 9) return overwrite_alike();
  if (what == 9) return zero(any_place(2 * kRun));
  if (what == 10) return zero(whole_pages(end_ / 8));
  if (what == 11) return trim_scattered();
  if (what == 12) return trim_and_write_again();
  if (what == 13) return check(any_place(4 * kRun));
  if (what == 14) return change_weather();
  std::this_thread::sleep_for(std::chrono::milliseconds(1 + choices_.below(8)));
  return "";
}

LimitHistory::Place LimitHistory::any_place(uint64_t most) {
  uint64_t at = choices_.below(end_ / kPageBytes + 64) * kPageBytes;
  if (choices_.below(4) == 0) at += choices_.below(kPageBytes);
  at = std::min<uint64_t>(at, model_.size());
  uint64_t count = 1 + choices_.below(most / kPageBytes);
  count = choices_.below(4) == 0 ? count * 37 : count * kPageBytes;
  return {at, std::min<uint64_t>(count, model_.size() - at)};
}

LimitHistory::Place LimitHistory::whole_pages(uint64_t most) {
  const uint64_t at = choices_.below(end_ / kPageBytes + 1) * kPageBytes;
  const uint64_t count = (1 + choices_.below(most / kPageBytes + 1)) * kPageBytes;
  return {at, std::min<uint64_t>(count, model_.size() - at)};
}

Bytes LimitHistory::any_data(uint64_t count) {
  const uint64_t kind = choices_.below(8);
  Rng rng(choices_.below(1 << 16));
  if (kind < kAllData.size()) return make_data(count, kAllData[kind], rng);
  Bytes data(count);
  for (uint64_t i = 0; i < count; i += kPageBytes) {
    copy_page(page_id(kind == 7 ? Matter::executables : Matter::text, next_page_++),
              std::span(data).subspan(i, std::min<uint64_t>(kPageBytes, count - i)));
  }
  return data;
}

std::string LimitHistory::write_anything() {
  const Place place = any_place(choices_.below(8) == 0 ? kMiB : kRun);
  change(place, any_data(place.count));
  return check({place.at - std::min<uint64_t>(place.at, kPageBytes), kPageBytes});
}

// Overwrites pages with their own bytes in another order: the second part first.
std::string LimitHistory::overwrite_alike() {
  const uint64_t pages = 1 + choices_.below(512);
  const uint64_t first = choices_.below(end_ / kPageBytes + 1);
  const uint64_t stride = 1 + choices_.below(50);
  for (uint64_t i = 0; i < pages && complaint_.empty(); ++i) {
    const uint64_t at = (first + i * stride) % (end_ / kPageBytes + 1) * kPageBytes;
    if (at + kPageBytes > model_.size()) continue;
    Bytes page(&model_[at], &model_[at] + kPageBytes);
    if (all_zero(page)) continue;
    std::rotate(page.begin(), page.begin() + kPageBytes / 2, page.end());
    const uint32_t weather = limited_.weather();
    const bool accepted = change({at, kPageBytes}, page);
    if (weather % 2 == 1 || weather != limited_.weather()) continue;
    ++alike_tried_;
    alike_refused_ += !accepted;
  }
  return "";
}

std::string LimitHistory::zero(Place place) {
  const bool whole = place.at % kPageBytes == 0 && place.count % kPageBytes == 0;
  const uint32_t weather = limited_.weather();
  const bool accepted = change(place, {});
  const bool fine = weather % 2 == 0 && weather == limited_.weather();
  if (!accepted && whole) return where("a trim was refused", place.at);
  if (!accepted && fine) return where("zeroes in part of a page were refused", place.at);
  return check({place.at - std::min<uint64_t>(place.at, kPageBytes), kPageBytes});
}

std::string LimitHistory::trim_scattered() {
  const uint64_t stride = 2 + choices_.below(6);
  const Place part = whole_pages(end_ / 2);
  for (uint64_t i = 0; i < part.count; i += stride * kPageBytes) {
    if (!change({part.at + i, kPageBytes}, {})) return where("a trim was refused", part.at + i);
  }
  return "";
}

std::string LimitHistory::trim_and_write_again() {
  const Place place = whole_pages(end_ / 3);
  const Bytes before(&model_[0] + place.at, &model_[0] + place.at + place.count);
  const uint32_t weather = limited_.weather();
  if (!change(place, {})) return where("a trim was refused", place.at);
  uint64_t refused = 0;
  for (uint64_t i = 0; i < place.count; i += kPageBytes) {
    const Bytes page(&before[i], &before[i] + kPageBytes);
    refused += !change({place.at + i, kPageBytes}, page);
  }
  const bool fine = weather % 2 == 0 && weather == limited_.weather();
  if (!fine || threads_ > 1) return "";
  // Pages that have grown meanwhile may have used up the memory that is kept for changes.
  const uint64_t stored = disk_.usage().stored_bytes / kPageBytes + 1;
  const uint64_t grown = Budget::kept_for_changes(limited_.limit());
  if (refused * (limited_.used() / stored) <= grown ||
      refused <= place.count / kPageBytes / 100 + 1) {
    return "";
  }
  return std::to_string(refused) + " of " + std::to_string(place.count / kPageBytes) +
         " pages that were trimmed could not be written again";
}

// Only one of the histories changes the weather.
std::string LimitHistory::change_weather() {
  if (thread_ != 0) return "";
  const uint64_t one_in = choices_.below(5);
  one_in == 0 || limited_.weather() % 2 == 1 ? limited_.allow() : limited_.fail(one_in);
  return "";
}

// ---- requests

bool LimitHistory::change(Place place, const Bytes& data) {
  end_ = std::max(end_, std::min<uint64_t>(place.at + place.count, model_.size()));
  for (uint64_t done = 0; done < place.count;) {
    const Place rest{place.at + done, place.count - done};
    const Place piece{rest.at, to_run_end(rest)};
    const auto part =
        std::span(data).subspan(data.empty() ? 0 : done, data.empty() ? 0 : piece.count);
    const Status status = data.empty() ? disk_.zero(piece.count, to_disk(piece.at))
                                       : disk_.write(part, to_disk(piece.at));
    const uint64_t used = std::max(limited_.used(), limited_.most_used());
    if (used > limited_.limit()) {
      complaint_ = "used " + std::to_string(used) + " of " + std::to_string(limited_.limit());
    }
    if (!status.ok()) {
      ++refused_;
      if (status.errnum() != ENOMEM && status.errnum() != ENOSPC) complaint_ = status.message();
      settle(piece, part);
      return false;
    }
    if (data.empty()) {
      std::memset(&model_[piece.at], 0, piece.count);
    } else {
      std::memcpy(&model_[piece.at], part.data(), part.size());
    }
    done += piece.count;
  }
  return true;
}

// After a refusal: notes which pages have the new bytes; all others must have the old ones.
void LimitHistory::settle(Place piece, std::span<const std::byte> data) {
  const uint64_t end = piece.at + piece.count;
  for (uint64_t at = piece.at / kPageBytes * kPageBytes; at < end; at += kPageBytes) {
    Bytes now(kPageBytes, std::byte{0xee});
    if (!disk_.read(now, to_disk(at)).ok()) complaint_ = where("a read failed", at);
    if (std::memcmp(now.data(), &model_[at], kPageBytes) == 0) continue;
    const uint64_t from = std::max(at, piece.at);
    const uint64_t to = std::min(at + kPageBytes, end);
    if (data.empty()) {
      std::memset(&model_[from], 0, to - from);
    } else {
      std::memcpy(&model_[from], &data[from - piece.at], to - from);
    }
    if (std::memcmp(now.data(), &model_[at], kPageBytes) != 0) {
      complaint_ = where("neither old nor new", at);
    }
  }
}

std::string LimitHistory::check(Place place) {
  place.count = std::min<uint64_t>(place.count, model_.size() - place.at);
  for (uint64_t done = 0; done < place.count;) {
    const Place piece{place.at + done, to_run_end({place.at + done, place.count - done})};
    Bytes now(piece.count, std::byte{0xee});
    const Status status = disk_.read(now, to_disk(piece.at));
    if (!status.ok()) return where("a read failed", piece.at) + ": " + status.message();
    const auto want = std::span(model_).subspan(piece.at, piece.count);
    if (std::string wrong = first_difference(now, want, piece.at); !wrong.empty()) return wrong;
    done += piece.count;
  }
  return "";
}

std::string LimitHistory::verify() {
  for (uint64_t at = 0; at < end_ + kRun && at < model_.size(); at += kMiB) {
    if (std::string wrong = check({at, kMiB}); !wrong.empty()) return wrong;
  }
  return "";
}

// One overwrite in a thousand may be refused, or a single one.
std::string LimitHistory::account() const {
  if (alike_refused_ <= alike_tried_ / 1000 + 1) return "";
  return "overwrites by what packs as well: " + figures();
}

std::string LimitHistory::figures() const {
  return std::to_string(alike_refused_) + " of " + std::to_string(alike_tried_) +
         " overwrites refused, " + std::to_string(refused_) + " requests in all";
}

}  // namespace ramdisk::conformance
