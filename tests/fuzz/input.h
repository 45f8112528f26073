// Takes an input of a fuzzer apart. An input that has ended goes on with zeroes, so that every
// string of bytes means something.
//
// Thread contract: an Input belongs to one thread.

#ifndef RAMDISK_FUZZ_INPUT_H
#define RAMDISK_FUZZ_INPUT_H

#include <cstddef>
#include <cstdint>
#include <span>

namespace ramdisk::fuzz {

class Input {
 public:
  Input(const uint8_t* data, size_t count) : rest_(data, count) {}

  bool empty() const { return rest_.empty(); }

  uint8_t byte() {
    if (rest_.empty()) return 0;
    const uint8_t value = rest_.front();
    rest_ = rest_.subspan(1);
    return value;
  }
  uint16_t two_bytes() {
    const unsigned low = byte();
    return static_cast<uint16_t>(low | byte() << 8);
  }

  // One of a list, which is not empty.
  template <typename List>
  const auto& pick(const List& list) {
    return list[byte() % list.size()];
  }

 private:
  std::span<const uint8_t> rest_;
};

}  // namespace ramdisk::fuzz

#endif
