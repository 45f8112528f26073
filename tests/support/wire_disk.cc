// The requests of wire_disk.h.

#include "support/wire_disk.h"

#include <algorithm>
#include <string>

namespace wire {
namespace {

using ramdisk::ExtentKind;
using ramdisk::ExtentVisitor;
using ramdisk::Status;

// Success, or the error that `call` throws. NBD leaves open what an empty request means, so none
// is sent.
template <typename Call>
Status status_of(uint64_t count, Call call) {
  try {
    if (count > 0) call();
  } catch (const ClientError& error) {
    return Status::error(error.errnum() ? error.errnum() : EIO, std::string(error.what()));
  }
  return {};
}

ExtentKind kind_of(const Extent& extent) {
  if (extent.flags == kHole) return ExtentKind::hole;
  return extent.flags & LIBNBD_STATE_ZERO ? ExtentKind::zero : ExtentKind::data;
}

// What is wrong with the answer to a request of `count` bytes at `offset`, or an empty text.
std::string fault_in(const Extents& answer, uint64_t count, uint64_t offset, bool one) {
  uint64_t next = offset;
  for (size_t i = 0; i < answer.size(); ++i) {
    const Extent& extent = answer[i];
    const std::string at = " at " + std::to_string(extent.offset);
    if (extent.length == 0) return "an empty extent" + at;
    if ((extent.flags & kHole) == LIBNBD_STATE_HOLE) return "a hole that is not zero" + at;
    if (i > 0 && extent.flags == answer[i - 1].flags) return "neighbours are not merged" + at;
    next += extent.length;
  }
  if (one ? answer.size() != 1 || next > offset + count : next != offset + count) {
    return std::to_string(answer.size()) + " extents that end at " + std::to_string(next);
  }
  return "";
}

}  // namespace

Status WireDisk::read(std::span<std::byte> buffer, uint64_t offset) {
  return status_of(buffer.size(), [&] {
    if (random_.below(8) == 0) client_.cache(buffer.size(), offset);
    const Bytes data = client_.read(buffer.size(), offset);
    std::ranges::copy(std::as_bytes(std::span(data)), buffer.begin());
  });
}

Status WireDisk::write(std::span<const std::byte> data, uint64_t offset) {
  return status_of(data.size(), [&] {
    const auto* bytes = reinterpret_cast<const uint8_t*>(data.data());
    client_.write(Bytes(bytes, bytes + data.size()), offset, maybe_fua());
    if (random_.below(8) == 0) client_.flush();
  });
}

Status WireDisk::zero(uint64_t count, uint64_t offset) {
  return status_of(count, [&] {
    const uint32_t fua = maybe_fua();
    const uint64_t kind = random_.below(6);
    if (kind >= 4) return client_.trim(count, offset, fua);
    const uint32_t no_hole = kind & 1 ? LIBNBD_CMD_FLAG_NO_HOLE : 0;
    const uint32_t fast = kind & 2 ? LIBNBD_CMD_FLAG_FAST_ZERO : 0;
    client_.zero(count, offset, no_hole | fast | fua);
  });
}

Status WireDisk::extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) {
  const bool one = random_.below(2) == 0;
  const uint64_t end = offset + count;
  Extents all;
  std::string fault;
  const Status status = status_of(count, [&] {
    for (uint64_t at = offset; at < end && fault.empty();) {
      const uint32_t flag = one ? LIBNBD_CMD_FLAG_REQ_ONE : 0;
      const Extents answer = client_.extents(end - at, at, flag);
      fault = fault_in(answer, end - at, at, one);
      for (const Extent& extent : answer) {
        at = extent.offset + extent.length;
        // One extent may come in the answers to several requests.
        if (one && !all.empty() && all.back().flags == extent.flags) {
          all.back().length += extent.length;
        } else {
          all.push_back(extent);
        }
      }
    }
  });
  if (!fault.empty()) return Status::error(EPROTO, fault);
  for (const Extent& extent : all) {
    if (!visitor.extent(extent.offset, extent.length, kind_of(extent))) break;
  }
  return status;
}

}  // namespace wire
