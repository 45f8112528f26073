// The file of changing_file.h.

#include "changing_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

namespace ramdisk::fuzz {
namespace {

namespace fs = std::filesystem;
using conformance::Bytes;
using conformance::Rng;

constexpr unsigned kMostPieces = 12;
constexpr uint64_t kMostGrowth = 300'000;

// In memory, where a sync costs nothing.
fs::path new_directory() {
  const fs::path memory = "/dev/shm";
  const bool usable = access(memory.c_str(), W_OK) == 0;
  std::string name = (usable ? memory : fs::temp_directory_path()) / "image-fuzzer.XXXXXX";
  EXPECT_NE(mkdtemp(name.data()), nullptr);
  return name;
}

uint64_t place(Input& input, uint64_t bytes) {
  const uint64_t edge = bytes / 16 * (input.byte() % 17);
  const uint64_t at = edge + static_cast<uint64_t>(input.byte() % 16) * 1023;
  return std::min(bytes, at);
}

}  // namespace

ChangingFile::ChangingFile(Input& input, uint64_t bytes) : path_(new_directory() / "disk.img") {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  EXPECT_GE(fd_, 0);
  versions_.emplace_back(bytes);
  EXPECT_EQ(ftruncate(fd_, static_cast<off_t>(bytes)), 0);
  for (unsigned n = input.byte() % kMostPieces; n > 0; --n) {
    const uint64_t from = place(input, bytes);
    const uint64_t count = std::min<uint64_t>(bytes - from, input.two_bytes() * 5);
    const unsigned code = input.byte();
    Rng rng = Rng::with_seed(code);
    write(make_data(count, conformance::kAllData[code % 5], rng), from);
  }
}

ChangingFile::~ChangingFile() {
  close(fd_);
  fs::remove_all(path_.parent_path());
}

fs::path ChangingFile::unfinished() const {
  return path_.parent_path() / ("." + path_.filename().string() + ".saving");
}

void ChangingFile::write(const Bytes& data, uint64_t offset) {
  Bytes& now = versions_.back();
  now.resize(std::max<uint64_t>(now.size(), offset + data.size()));
  std::copy(data.begin(), data.end(), now.begin() + static_cast<ptrdiff_t>(offset));
  EXPECT_EQ(pwrite(fd_, data.data(), data.size(), static_cast<off_t>(offset)),
            static_cast<ssize_t>(data.size()));
}

void ChangingFile::prepare(Input& input) {
  const unsigned code = input.byte();
  if (code >= 192) return;  // nothing happens
  for (unsigned n = code % 4; n > 0; --n) {
    Change change{};
    change.step = input.byte() % 16;
    change.what = static_cast<What>(input.byte() % 8);
    change.offset = place(input, first().size());
    change.count = input.two_bytes() * 3;
    changes_.push_back(change);
  }
}

Result<std::unique_ptr<ImageFile>> ChangingFile::open() {
  const int next = dup(fd_);
  close(next);
  auto file = ImageFile::open(path_);
  opened_ = next;
  return file;
}

void ChangingFile::step() {
  const std::lock_guard lock(mutex_);
  for (const Change& change : changes_) {
    if (change.step == steps_) apply(change);
  }
  ++steps_;
}

// What it becomes is a version before it is, so that no reader is ahead of the list.
void ChangingFile::apply(const Change& change) {
  const auto give_to_reader = [&](const char* path, int flags) {
    const int other = ::open(path, flags | O_CLOEXEC);
    EXPECT_GE(other, 0) << path;
    EXPECT_EQ(dup2(other, opened_), opened_);
    close(other);
    unreadable_ = true;
  };
  const Bytes before = versions_.back();
  switch (change.what) {
    case What::shrink:
      versions_.emplace_back(before).resize(std::min<uint64_t>(before.size(), change.offset));
      EXPECT_EQ(ftruncate(fd_, static_cast<off_t>(bytes())), 0);
      return;
    case What::grow:
      versions_.emplace_back(before).resize(before.size() + change.count % kMostGrowth);
      EXPECT_EQ(ftruncate(fd_, static_cast<off_t>(bytes())), 0);
      return;
    case What::write:
      versions_.push_back(before);
      return write(Bytes(change.count, std::byte{0x5a}), change.offset);
    case What::punch:
      versions_.push_back(before);
#ifdef FALLOC_FL_PUNCH_HOLE
      if (change.count > 0 &&
          fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(change.offset), static_cast<off_t>(change.count)) == 0) {
        Bytes& now = versions_.back();
        const uint64_t end = std::min<uint64_t>(now.size(), change.offset + change.count);
        for (uint64_t at = change.offset; at < end; ++at) now[at] = std::byte{0};
      }
#endif
      return;
    case What::replace:  // what is open stays as it is
      std::ofstream(path_.string() + ".new") << "another";
      return fs::rename(path_.string() + ".new", path_);
    case What::disappear:
      fs::remove(path_);
      return;
    case What::unreadable:  // holes are found, but every read fails
      return give_to_reader(("/proc/self/fd/" + std::to_string(fd_)).c_str(), O_WRONLY);
    case What::broken:  // nothing is found, and a read from the beginning is an error of the medium
      return give_to_reader("/proc/self/mem", O_RDONLY);
  }
}

bool ChangingFile::had(uint64_t offset, std::byte byte) const {
  return std::any_of(versions_.begin(), versions_.end(), [&](const Bytes& version) {
    return (offset < version.size() ? version[offset] : std::byte{0}) == byte;
  });
}

Bytes ChangingFile::content() const {
  std::ifstream file(path_, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  Bytes content(bytes.size());
  std::transform(bytes.begin(), bytes.end(), content.begin(),
                 [](char byte) { return static_cast<std::byte>(byte); });
  return content;
}

uint64_t ChangingFile::stored() const {
  struct stat status {};
  return stat(path_.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_blocks) * 512 : 0;
}

}  // namespace ramdisk::fuzz
