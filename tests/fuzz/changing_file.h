// A file in a directory of its own, and everything that it has ever contained.
//
// Thread contract: one thread makes it; the changes that are prepared with prepare() happen in
// whichever thread calls step().

#ifndef RAMDISK_FUZZ_CHANGING_FILE_H
#define RAMDISK_FUZZ_CHANGING_FILE_H

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "image/image_file.h"
#include "input.h"
#include "support/data.h"

namespace ramdisk::fuzz {

class ChangingFile {
 public:
  // A file of `bytes` bytes with data and holes as the input says.
  ChangingFile(Input& input, uint64_t bytes);
  ~ChangingFile();
  ChangingFile(const ChangingFile&) = delete;
  ChangingFile& operator=(const ChangingFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path unfinished() const;  // where a new file is written that will replace it

  // Chooses what happens at which step.
  void prepare(Input& input);
  // Opens it. What makes it unreadable later does so for the last one that was opened.
  Result<std::unique_ptr<ImageFile>> open();
  void step();

  bool changed() const { return versions_.size() > 1 || unreadable_; }
  bool unreadable() const { return unreadable_; }
  uint64_t bytes() const { return versions_.back().size(); }  // now
  const conformance::Bytes& first() const { return versions_.front(); }
  // Whether it had this byte there at some time; behind its end are zeroes.
  bool had(uint64_t offset, std::byte byte) const;

  // What lies at path(), and how much room that takes.
  conformance::Bytes content() const;
  uint64_t stored() const;

 private:
  enum class What { shrink, grow, write, punch, replace, disappear, unreadable, broken };
  struct Change {
    unsigned step;
    What what;
    uint64_t offset;
    uint64_t count;
  };
  void apply(const Change& change);
  void write(const conformance::Bytes& data, uint64_t offset);

  std::filesystem::path path_;
  int fd_ = -1;      // of the file that was made first
  int opened_ = -1;  // the descriptor that ImageFile has
  std::mutex mutex_;
  unsigned steps_ = 0;
  std::vector<Change> changes_;
  std::vector<conformance::Bytes> versions_;
  bool unreadable_ = false;
};

}  // namespace ramdisk::fuzz

#endif
