// A client that owns blocks of a disk: it alone changes them, so it knows each byte of them,
// whatever others do to the bytes next to them.
//
// The blocks of several owners may take turns, in the same page too:
//   | owner 0 | owner 1 | owner 2 | owner 0 | owner 1 | owner 2 | ...
//
// Thread contract: one thread at a time, as its Client.

#ifndef RAMDISK_TESTS_WIRE_BLOCK_OWNER_H
#define RAMDISK_TESTS_WIRE_BLOCK_OWNER_H

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "client.h"

namespace wire {

struct Blocks {
  uint64_t base;    // of the first one
  uint64_t length;  // of each
  uint64_t stride;  // from one to the next
  uint64_t count;

  uint64_t offset(uint64_t block) const { return base + block * stride; }
};

// The disk is not what it must be.
class WrongData : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Tally {
  uint64_t operations = 0;
  uint64_t verified_bytes = 0;
};

class BlockOwner {
 public:
  // The blocks must read as zeroes when the owner comes.
  BlockOwner(const Client& client, const std::vector<Blocks>& blocks, uint64_t seed);

  // One random request of any kind to one of the blocks; what it answers is checked. Throws a
  // ClientError if it fails, and WrongData.
  void step();

  // Writes every block with bytes that do not compress.
  void write_all();
  void verify_all();

  const Tally& tally() const { return tally_; }

 private:
  struct Block {
    uint64_t offset = 0;
    uint64_t length = 0;
    uint64_t version = 0;  // 0: zeroes
  };

  void write(Block& block, uint64_t version);
  void clear(Block& block);
  void verify(const Block& block);
  void check_status(const Block& block);
  static Bytes content(const Block& block);

  const Client& client_;
  std::vector<Block> blocks_;
  Random random_;
  uint64_t versions_ = 0;
  Tally tally_;
};

}  // namespace wire

#endif
