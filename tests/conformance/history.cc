// The recorder and the judge of history.h.

#include "history.h"

#include <algorithm>

namespace ramdisk::conformance {
namespace {

// A write or zero that can no longer be seen by reads that begin after `replaced`.
struct Past {
  const Request* request;
  uint64_t replaced;
};

struct Byte {
  std::vector<const Request*> last;  // those that nothing has certainly replaced yet
  std::vector<Past> past;            // those that a running read may have met, by `replaced`
};

// Goes through the beginnings and ends of all requests in the order of time and knows for each
// byte who may have written it last.
class Judge {
 public:
  explicit Judge(uint64_t region_bytes) : bytes_(region_bytes) {
    for (Byte& byte : bytes_) byte.last.push_back(&untouched_);
  }

  void begin(const Request& request) {
    if (request.kind == Request::Kind::read) {
      reading_.push_back(&request);
      return;
    }
    for (uint64_t i = 0; i < request.count; ++i) {
      bytes_[request.offset + i].last.push_back(&request);
    }
  }

  std::string end(const Request& request) {
    if (request.kind != Request::Kind::read) {
      for (uint64_t i = 0; i < request.count; ++i) replace(request, request.offset + i);
      return "";
    }
    for (uint64_t i = 0; i < request.count; ++i) {
      bool possible = false;
      for_each_possible(request, request.offset + i,
                        [&](std::byte value) { possible |= value == request.seen[i]; });
      if (!possible) return complain(request, i);
    }
    std::erase(reading_, &request);
    return "";
  }

 private:
  static std::byte value(const Request& request, uint64_t offset) {
    return request.kind == Request::Kind::zero ? std::byte{0} : written_byte(request.id, offset);
  }

  // What a read that ends now may have seen.
  template <typename Visit>
  void for_each_possible(const Request& read, uint64_t offset, Visit visit) const {
    for (const Request* request : bytes_[offset].last) visit(value(*request, offset));
    for (const Past& past : bytes_[offset].past) {
      if (past.replaced > read.begin) visit(value(*past.request, offset));
    }
  }

  // `request` has ended: those that had ended before it began are replaced from now on.
  void replace(const Request& request, uint64_t offset) {
    uint64_t oldest = request.end;  // beginning of the reads that may still have met the past
    for (const Request* read : reading_) {
      const bool here = offset >= read->offset && offset - read->offset < read->count;
      if (here) oldest = std::min(oldest, read->begin);
    }
    Byte& byte = bytes_[offset];
    const auto forgotten = std::find_if(byte.past.begin(), byte.past.end(),
                                        [&](const Past& past) { return past.replaced > oldest; });
    byte.past.erase(byte.past.begin(), forgotten);
    const auto gone = std::partition(byte.last.begin(), byte.last.end(), [&](const Request* last) {
      return last->end >= request.begin;
    });
    for (auto it = gone; it != byte.last.end() && oldest < request.end; ++it) {
      byte.past.push_back({*it, request.end});
    }
    byte.last.erase(gone, byte.last.end());
  }

  std::string complain(const Request& read, uint64_t i) const {
    std::string text = "read of " + std::to_string(read.count) + " at " +
                       std::to_string(read.offset) + " saw " +
                       std::to_string(static_cast<int>(read.seen[i])) + " at byte " +
                       std::to_string(read.offset + i) + "; possible were:";
    for_each_possible(read, read.offset + i, [&](std::byte value) {
      text += " " + std::to_string(static_cast<int>(value));
    });
    return text;
  }

  const Request untouched_{Request::Kind::zero, 0, 0, 0, 0, 0, {}};
  std::vector<Byte> bytes_;
  std::vector<const Request*> reading_;
};

}  // namespace

std::byte written_byte(uint64_t id, uint64_t offset) {
  uint64_t mixed = (id * 0x9e3779b97f4a7c15u) ^ (offset / 16 * 0xc2b2ae3d27d4eb4fu);
  mixed ^= mixed >> 29;
  mixed *= 0xbf58476d1ce4e5b9u;
  return static_cast<std::byte>(1 + (mixed >> 40) % 255);
}

std::string Log::step() {
  const uint64_t offset = rng_.below(bytes_);
  uint64_t count = 1 + rng_.below(std::min<uint64_t>(bytes_ - offset, 5000));
  if (rng_.chance(2)) count = bytes_ - offset;
  const uint64_t what = rng_.below(100);
  Request request{Request::Kind::read, 0, 0, offset, count, (requests_.size() << 8) | thread_, {}};
  Bytes data(count);
  if (what >= 40) request.kind = what < 80 ? Request::Kind::write : Request::Kind::zero;
  if (request.kind == Request::Kind::write) {
    for (uint64_t i = 0; i < count; ++i) data[i] = written_byte(request.id, offset + i);
  }
  // Sequentially consistent: a request that ended before this one began has a smaller number.
  request.begin = clock_.fetch_add(1) + 1;
  const Status status = request.kind == Request::Kind::read   ? disk_.read(data, base_ + offset)
                        : request.kind == Request::Kind::zero ? disk_.zero(count, base_ + offset)
                                                              : disk_.write(data, base_ + offset);
  request.end = clock_.fetch_add(1) + 1;
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
