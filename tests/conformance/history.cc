// The recorder and the judge declared in history.h.

#include "history.h"

#include <algorithm>
#include <unordered_map>

#include "base/page.h"

namespace ramdisk::conformance {
namespace {

struct Byte {
  // The time at which the latest known write began. By rule 2, writes that had ended before it can
  // no longer be seen.
  uint64_t known = 0;
  std::vector<const Request*> writes;  // writes that a read may see, now or while it is in progress
};

// Goes through the beginnings and ends of all requests in order of time.
class Judge {
 public:
  explicit Judge(uint64_t region_bytes) : bytes_(region_bytes) {
    for (Byte& byte : bytes_) byte.writes.push_back(&untouched_);
  }

  void begin(const Request& request) {
    const auto first = bytes_.begin() + static_cast<ptrdiff_t>(request.offset);
    const auto last = first + static_cast<ptrdiff_t>(request.count);
    if (request.kind != Request::Kind::read) {
      for (auto byte = first; byte != last; ++byte) byte->writes.push_back(&request);
      return;
    }
    std::vector<uint64_t>& known = reading_[&request];
    for (auto byte = first; byte != last; ++byte) known.push_back(byte->known);
  }

  std::string end(const Request& request) {
    if (request.kind == Request::Kind::read) return end_read(request);
    for (uint64_t at = request.offset; at < request.offset + request.count; ++at) {
      bytes_[at].known = std::max(bytes_[at].known, request.begin);
      forget(at);
    }
    return "";
  }

 private:
  static std::byte value(const Request& write, uint64_t offset) {
    return write.kind == Request::Kind::zero ? std::byte{0} : written_byte(write.id, offset);
  }

  // All writes in the list have begun, as rule 1 demands. A moment is 0 only before the first
  // request.
  static bool over(const Request& write, uint64_t known) { return write.end < known; }

  std::string end_read(const Request& read) {
    const std::vector<uint64_t> known = std::move(reading_[&read]);
    reading_.erase(&read);
    for (uint64_t i = 0; i < read.count; ++i) {
      Byte& byte = bytes_[read.offset + i];
      uint64_t seen = UINT64_MAX;  // when the write that was seen began, at the earliest
      for (const Request* write : byte.writes) {
        if (over(*write, known[i]) || value(*write, read.offset + i) != read.seen[i]) continue;
        seen = std::min(seen, write->begin);
      }
      if (seen == UINT64_MAX) return complain(read, i, known[i]);
      byte.known = std::max(byte.known, seen);
    }
    return "";
  }

  // Drops the writes that no read can see any more.
  void forget(uint64_t at) {
    uint64_t oldest = bytes_[at].known;
    for (const auto& [read, known] : reading_) {
      const bool here = at >= read->offset && at - read->offset < read->count;
      if (here) oldest = std::min(oldest, known[at - read->offset]);
    }
    std::erase_if(bytes_[at].writes, [&](const Request* write) { return over(*write, oldest); });
  }

  std::string complain(const Request& read, uint64_t i, uint64_t known) const {
    const uint64_t at = read.offset + i;
    std::string text = "read of " + std::to_string(read.count) + " at " +
                       std::to_string(read.offset) + " saw " +
                       std::to_string(static_cast<int>(read.seen[i])) + " at byte " +
                       std::to_string(at) + "; possible were:";
    for (const Request* write : bytes_[at].writes) {
      if (over(*write, known)) continue;
      text += " " + std::to_string(static_cast<int>(value(*write, at)));
    }
    return text;
  }

  const Request untouched_{Request::Kind::zero, 0, 0, 0, 0, 0, {}};
  std::vector<Byte> bytes_;
  std::unordered_map<const Request*, std::vector<uint64_t>>
      reading_;  // Byte::known when the read began
};

}  // namespace

std::byte written_byte(uint64_t id, uint64_t offset) {
  return static_cast<std::byte>(1 + (id + offset / 8 * 97) % 255);
}

// Mostly parts of pages; but to store or to zero whole ones is another matter for a disk.
std::pair<uint64_t, uint64_t> Log::choose_range() {
  const uint64_t offset = rng_.below(bytes_);
  if (rng_.chance(2)) return {offset, bytes_ - offset};
  const uint64_t count = 1 + rng_.below(std::min<uint64_t>(bytes_ - offset, 5000));
  if (!rng_.chance(20)) return {offset, count};
  const uint64_t first = (base_ + offset) / kPageBytes * kPageBytes;
  const uint64_t end = std::min(first + (1 + rng_.below(3)) * kPageBytes,
                                (base_ + bytes_) / kPageBytes * kPageBytes);
  if (first < base_ || first >= end) return {offset, count};
  return {first - base_, end - first};
}

std::string Log::step() {
  const auto [offset, count] = choose_range();
  const uint64_t what = rng_.below(100);
  Request request{Request::Kind::read, 0, 0, offset, count, 0, {}};
  Bytes data(count);
  if (what >= 40) request.kind = what < 80 ? Request::Kind::write : Request::Kind::zero;
  if (request.kind == Request::Kind::write) {
    request.id = times_.writes.fetch_add(1);
    for (uint64_t i = 0; i < count; ++i) data[i] = written_byte(request.id, offset + i);
  }
  // Sequentially consistent: a request that ended before this one began has smaller moments.
  request.begin = moment();
  const Status status = request.kind == Request::Kind::read   ? disk_.read(data, base_ + offset)
                        : request.kind == Request::Kind::zero ? disk_.zero(count, base_ + offset)
                                                              : disk_.write(data, base_ + offset);
  request.end = moment();
  if (!status.ok()) return status.message();
  if (request.kind == Request::Kind::read) request.seen = std::move(data);
  requests_.push_back(std::move(request));
  return "";
}

std::string judge(const std::vector<Request>& requests, uint64_t region_bytes) {
  struct Event {
    uint64_t at;
    const Request* request;
    bool end;
  };
  std::vector<Event> events;
  for (const Request& request : requests) {
    events.push_back({request.begin, &request, false});
    events.push_back({request.end, &request, true});
  }
  std::sort(events.begin(), events.end(),
            [](const Event& a, const Event& b) { return a.at < b.at; });
  Judge judge(region_bytes);
  for (const Event& event : events) {
    if (!event.end) {
      judge.begin(*event.request);
    } else if (std::string problem = judge.end(*event.request); !problem.empty()) {
      return problem;
    }
  }
  return "";
}

}  // namespace ramdisk::conformance
