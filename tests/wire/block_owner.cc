#include "block_owner.h"

#include <algorithm>
#include <string>

namespace wire {
namespace {

// The versions of a block take turns in how their bytes look.
enum Look : uint64_t { noisy = 0, textual = 1, half_zero = 2, all_zero = 3, looks = 4 };

std::string range_text(uint64_t length, uint64_t offset) {
  return std::to_string(length) + " bytes at " + std::to_string(offset);
}

}  // namespace

BlockOwner::BlockOwner(const Client& client, const std::vector<Blocks>& blocks, uint64_t seed)
    : client_(client), random_(seed) {
  for (const Blocks& kind : blocks) {
    for (uint64_t i = 0; i < kind.count; ++i) blocks_.push_back({kind.offset(i), kind.length});
  }
}

void BlockOwner::step() {
  ++tally_.operations;
  Block& block = blocks_[pick(random_, blocks_.size())];
  switch (pick(random_, 16)) {
    case 0:
    case 1:
    case 2:
      return clear(block);
    case 3:
      return client_.flush();
    case 4:
      return client_.cache(block.length, block.offset);
    case 5:
    case 6:
      return check_status(block);
    case 7:
    case 8:
    case 9:
    case 10:
      return verify(block);
    default:
      return write(block, ++versions_);
  }
}

void BlockOwner::write_all() {
  for (Block& block : blocks_) {
    versions_ = (versions_ / looks + 1) * looks + noisy;
    write(block, versions_);
    ++tally_.operations;
  }
}

void BlockOwner::verify_all() {
  for (const Block& block : blocks_) {
    verify(block);
    ++tally_.operations;
  }
}

void BlockOwner::write(Block& block, uint64_t version) {
  block.version = version;
  client_.write(content(block), block.offset, pick(random_, 4) ? 0 : LIBNBD_CMD_FLAG_FUA);
}

void BlockOwner::clear(Block& block) {
  const uint32_t fua = pick(random_, 4) ? 0 : LIBNBD_CMD_FLAG_FUA;
  static constexpr uint32_t kKinds[] = {0, LIBNBD_CMD_FLAG_NO_HOLE, LIBNBD_CMD_FLAG_FAST_ZERO,
                                        LIBNBD_CMD_FLAG_NO_HOLE | LIBNBD_CMD_FLAG_FAST_ZERO};
  block.version = 0;
  const uint64_t kind = pick(random_, std::size(kKinds) + 2);
  if (kind < std::size(kKinds)) {
    client_.zero(block.length, block.offset, kKinds[kind] | fua);
  } else {
    client_.trim(block.length, block.offset, fua);
  }
}

void BlockOwner::verify(const Block& block) {
  const Bytes want = content(block);
  const Bytes got = client_.read(block.length, block.offset);
  tally_.verified_bytes += block.length;
  const auto differs = std::mismatch(want.begin(), want.end(), got.begin());
  if (differs.first == want.end()) return;
  throw WrongData("of " + range_text(block.length, block.offset) + ", byte " +
                  std::to_string(differs.first - want.begin()) + " is " +
                  std::to_string(*differs.second) + " and should be " +
                  std::to_string(*differs.first));
}

void BlockOwner::check_status(const Block& block) {
  const Extents extents = client_.extents(block.length, block.offset, LIBNBD_CMD_FLAG_REQ_ONE);
  if (extents.size() != 1 || extents[0].length == 0 || extents[0].length > block.length) {
    throw WrongData("block status of " + range_text(block.length, block.offset) +
                    " with REQ_ONE is not one extent within it");
  }
  const Bytes want = content(block);
  const auto end = want.begin() + static_cast<int64_t>(extents[0].length);
  if (extents[0].flags & LIBNBD_STATE_ZERO &&
      std::any_of(want.begin(), end, [](uint8_t byte) { return byte != 0; })) {
    throw WrongData("block status calls data zeroes in " + range_text(block.length, block.offset));
  }
}

Bytes BlockOwner::content(const Block& block) {
  if (block.version == 0) return Bytes(block.length, 0);
  const uint64_t seed = block.offset * 31 + block.version;
  switch (block.version % looks) {
    case textual:
      return text(block.length, seed);
    case half_zero: {
      Bytes bytes = noise(block.length, seed);
      std::fill_n(bytes.begin(), block.length / 2, uint8_t{0});
      return bytes;
    }
    case all_zero:
      return Bytes(block.length, 0);
    default:
      return noise(block.length, seed);
  }
}

}  // namespace wire
