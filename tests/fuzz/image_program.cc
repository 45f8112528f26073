// The steps of image_program.h.

#include "image_program.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>

#include "disk/clone_disk.h"
#include "image/save.h"

#ifdef RAMDISK_HAVE_ZSTD
#include "support/zstd_variants.h"
#endif

namespace ramdisk::fuzz {
namespace {

namespace fs = std::filesystem;
using conformance::Bytes;
using conformance::Disk;
using conformance::FailingMemory;
using conformance::Rng;
using conformance::Session;

constexpr std::array<uint64_t, 16> kSizes = {
    600'001,      262'144, 0,      1,      511,
    4095,         4096,    4097,   65'536, 262'143,
    262'145,      524'288, 70'000, 12'288, (1 << 20) + 4097,
    (1 << 20) - 1};
constexpr std::array<uint64_t, 8> kMore = {0, 0, 0, 0, 1, 4095, 4096, 300'007};
constexpr int kMostOperations = 24;

AllocatorOptions choose_options(unsigned choice) {
#ifdef RAMDISK_HAVE_ZSTD
  if (choice % 16 >= 9) return options_of(conformance::kZstdVariants[choice % 5]);
#endif
  return {.type = choice % 16 >= 7 ? AllocatorType::malloc : AllocatorType::sparse};
}

BackgroundTiming pace() {
#ifdef RAMDISK_HAVE_ZSTD
  return conformance::hasty();
#else
  return {};
#endif
}

Status no_watch(uint64_t) {
  return {};
}

// A disk to which each write is a step of the file that is loaded into it.
class SteppingDisk final : public Allocator {
 public:
  SteppingDisk(Allocator& inner, ChangingFile& file) : inner_(inner), file_(file) {}
  Status read(std::span<std::byte> buffer, uint64_t offset) override {
    return inner_.read(buffer, offset);
  }
  Status write(std::span<const std::byte> data, uint64_t offset) override {
    file_.step();
    return inner_.write(data, offset);
  }
  Status zero(uint64_t count, uint64_t offset) override { return inner_.zero(count, offset); }
  Status extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) override {
    return inner_.extents(count, offset, visitor);
  }
  Usage usage() const override { return inner_.usage(); }
  std::string describe() const override { return inner_.describe(); }

 private:
  Allocator& inner_;
  ChangingFile& file_;
};

// No file may become larger than this.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(uint64_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &old_), 0);
    const rlimit now{std::min<rlim_t>(bytes, old_.rlim_max), old_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &now), 0);
  }
  ~FileSizeLimit() { EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &old_), 0); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit old_{};
};

Bytes all_of(Allocator& disk, uint64_t bytes) {
  return conformance::read_back(disk, bytes, 0);
}

}  // namespace

ImageProgram::ImageProgram(Input input)
    : input_(input),
      options_(choose_options(input_.byte())),
      bytes_(input_.pick(kSizes)),
      disk_bytes_(bytes_ + input_.pick(kMore)),
      file_(input_, bytes_) {
  file_.prepare(input_);
}

bool ImageProgram::run() {
  FailingMemory memory;
  const unsigned scarce = input_.byte();
  {
    Disk disk(options_, disk_bytes_, memory, pace());
    EXPECT_TRUE(disk.works()) << disk.status().message();
    may_fail_ = scarce % 8 == 1;
    if (may_fail_) memory.limit(memory.held_bytes() + (uint64_t{scarce / 8} << 15));
    if (disk.works() && load(disk, scarce % 3)) {
      check_loaded(disk);
      memory.allow();
      may_fail_ = false;
      if (options_.type == AllocatorType::malloc) {
        save(*disk);
      } else {
        change_clones(disk);
      }
    }
  }
  EXPECT_EQ(memory.mapped_bytes(), 0u);
  EXPECT_EQ(memory.misuse(), "");
  return !testing::Test::HasFailure();
}

// Returns whether it succeeded.
bool ImageProgram::load(Disk& disk, size_t threads) {
  auto opened = file_.open();
  EXPECT_TRUE(opened.ok()) << opened.status().message();
  if (!opened.ok()) return false;
  EXPECT_EQ(opened.value()->bytes(), bytes_);
  EXPECT_LE(opened.value()->stored_bytes(), bytes_);
  SteppingDisk stepping(*disk, file_);
  const Status status = opened.value()->load(stepping, no_watch, threads);
  if (status.ok()) {
    EXPECT_TRUE(file_.unreadable() || file_.bytes() >= bytes_) << "the file is too short";
    return true;
  }
  EXPECT_NE(*status.message(), '\0');
  EXPECT_TRUE(file_.changed() || (may_fail_ && status.errnum() == ENOMEM)) << status.message();
  return false;
}

void ImageProgram::check_loaded(Disk& disk) const {
  const Bytes got = all_of(*disk, disk_bytes_);
  if (!file_.changed()) {
    Bytes want = file_.first();
    want.resize(disk_bytes_);
    EXPECT_EQ(conformance::first_difference(got, want, 0), "");
    return;
  }
  for (uint64_t at = 0; at < disk_bytes_; ++at) {
    // What the file gets behind its former end is not for this disk.
    const bool good = at < bytes_ ? file_.had(at, got[at]) : got[at] == std::byte{0};
    if (good) continue;
    ADD_FAILURE() << "never was in the file: the byte at " << at;
    return;
  }
}

void ImageProgram::change_clones(Disk& base) {
  const Bytes before = all_of(*base, disk_bytes_);
  FailingMemory memory;
  {
    const Environment environment{.memory = &memory, .pace = pace(), .trace_directories = {}};
    AllocatorOptions options = choose_options(input_.byte());
    if (options.type == AllocatorType::malloc) options = {.type = AllocatorType::sparse};
    std::array<std::unique_ptr<Allocator>, 2> clones;
    std::array<std::unique_ptr<Session>, 2> sessions;
    for (size_t i = 0; i < clones.size(); ++i) {
      clones[i] = std::move(make_clone(*base, disk_bytes_, options, environment).value());
      EXPECT_TRUE(clones[i]->get_ready().ok() && clones[i]->after_fork().ok());
      sessions[i] = std::make_unique<Session>(*clones[i], disk_bytes_, Session::Limits{});
      sessions[i]->begin_with(*base);
    }
    const unsigned code = input_.byte();
    for (int n = 0; n < kMostOperations && !input_.empty(); ++n)
      change(*sessions[code >> n % 8 & 1]);
    for (const auto& session : sessions) session->check_everything();
    EXPECT_EQ(conformance::first_difference(all_of(*base, disk_bytes_), before, 0), "");
    save(code % 4 == 0 ? *base : *clones[0]);
    for (const auto& clone : clones) clone->stop();
  }
  EXPECT_EQ(memory.mapped_bytes(), 0u);
}

void ImageProgram::change(Session& session) {
  const unsigned what = input_.byte();
  const uint64_t edge = disk_bytes_ / 16 * (what / 4 % 17);
  const auto little = static_cast<int8_t>(input_.byte());
  const uint64_t at = little < 0 ? edge - std::min<uint64_t>(edge, -little)
                                 : std::min(disk_bytes_, edge + 37u * little);
  const uint64_t count = std::min<uint64_t>(disk_bytes_ - at, input_.two_bytes() * (1 + what % 3));
  if (what % 4 < 2) {
    session.zero(count, at);
  } else {
    Rng rng = Rng::with_seed(what);
    session.write(make_data(count, conformance::kAllData[what % 5], rng), at);
  }
  session.check_around(count, at);
}

// What lies under the name of the new file, removable or not, keeps nothing from being saved.
void ImageProgram::save(Allocator& disk) {
  const unsigned code = input_.byte();
  const fs::path obstacle = file_.unfinished();
  if (!fs::exists(file_.path())) std::ofstream(file_.path()) << "something";
  const Bytes old = file_.content();
  if (code % 8 == 1) std::ofstream(obstacle) << "what a process that was killed has left";
  if (code % 8 == 2) fs::create_directory(obstacle);
  if (code % 8 == 3) {
    EXPECT_EQ(mkfifo(obstacle.c_str(), 0600), 0);
  }
  if (code % 8 == 4) fs::create_symlink(file_.path(), obstacle);
  const uint64_t most = code % 8 == 5 ? uint64_t{code} << 12 : UINT64_MAX;
  Status status;
  {
    const FileSizeLimit limit(most);
    status = save_image(disk, disk_bytes_, file_.path(), no_watch, code / 8 % 3);
  }
  EXPECT_EQ(status.ok(), disk_bytes_ <= most) << status.message();
  check_saved(disk, status, old);
  if (code % 8 != 2 && code % 8 != 4) {
    EXPECT_FALSE(fs::exists(fs::symlink_status(obstacle)));
  }
}

// The new image is whole, and gives the same disk; or the old one is whole.
void ImageProgram::check_saved(Allocator& disk, const Status& status, const Bytes& old) {
  const Bytes content = file_.content();
  if (!status.ok()) {
    EXPECT_NE(*status.message(), '\0');
    EXPECT_EQ(conformance::first_difference(content, old, 0), "") << "the old image is damaged";
    return;
  }
  const Bytes want = all_of(disk, disk_bytes_);
  EXPECT_EQ(conformance::first_difference(content, want, 0), "");
  uint64_t pages = 0;
  for (uint64_t at = 0; at < disk_bytes_; at += 4096) {
    const uint64_t count = std::min<uint64_t>(4096, disk_bytes_ - at);
    pages += conformance::all_zero(std::span(want).subspan(at, count)) ? 0 : 1;
  }
  EXPECT_LE(file_.stored(), pages * 4096);
  Disk again(options_.type, disk_bytes_);
  auto opened = ImageFile::open(file_.path());
  EXPECT_TRUE(opened.ok());
  if (!opened.ok()) return;
  EXPECT_TRUE(opened.value()->load(*again, no_watch, 2).ok());
  EXPECT_EQ(conformance::first_difference(all_of(*again, disk_bytes_), want, 0), "");
}

}  // namespace ramdisk::fuzz
