#include "plugin/stats_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace ramdisk {

namespace {

// A new file beside `path`, with a unique hidden name that a glob for such files does not match. It
// is deleted again unless it is renamed to `path`.
class NewFile {
 public:
  explicit NewFile(const std::string& path) {
    const size_t name = path.rfind('/') + 1;
    name_ = path.substr(0, name) + "." + path.substr(name) + ".XXXXXX";
    fd_ = mkostemp(name_.data(), O_CLOEXEC);
  }
  ~NewFile() {
    if (fd_ < 0) return;
    close(fd_);
    if (!kept_) unlink(name_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  bool made() const { return fd_ >= 0; }

  // Makes the file readable for other users, because mkostemp makes it private.
  bool fill(const std::string& content) {
    if (fchmod(fd_, 0644) != 0) return false;
    for (size_t done = 0; done < content.size();) {
      const ssize_t n = ::write(fd_, content.data() + done, content.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return false;
      done += static_cast<size_t>(n);
    }
    return true;
  }

  // The file is not synced first: after a crash of the machine the disk is gone, so its statistics
  // are of no use.
  bool rename_to(const std::string& path) {
    kept_ = rename(name_.c_str(), path.c_str()) == 0;
    return kept_;
  }

 private:
  std::string name_;
  int fd_ = -1;
  bool kept_ = false;
};

Status failure(const std::string& path) {
  const int error = errno;
  return Status::error(error, "stats-file=" + path + ": cannot be written: " + strerror(error));
}

}  // namespace

StatsFile::StatsFile(std::string path, Source source, Timing timing)
    : path_(std::move(path)), source_(std::move(source)), timing_(timing) {}

// Refuses a device or a link, because it would be replaced by a file.
Status StatsFile::check() const {
  struct stat present {};
  if (lstat(path_.c_str(), &present) == 0 && !S_ISREG(present.st_mode)) {
    return Status::error(EINVAL, "stats-file=" + path_ + ": is there, and is not a regular file");
  }
  return NewFile(path_).made() ? Status() : failure(path_);
}

Status StatsFile::write(const std::string& document) const {
  NewFile file(path_);
  const bool written = file.made() && file.fill(document) && file.rename_to(path_);
  return written ? Status() : failure(path_);
}

Status StatsFile::start(bool with_thread) {
  last_ = source_.document(false);
  if (Status status = write(last_); !status.ok()) return status;
  started_ = true;
  delay_ = timing_.shortest;
  next_ = later_ = Clock::now() + timing_.shortest;
  has_thread_ = with_thread && workers_.start(1, [this](size_t) { return work(); }) > 0;
  return {};
}

void StatsFile::stop() noexcept {
  workers_.stop();
  if (!std::exchange(started_, false)) return;
  try {
    tell(write(source_.document(true)));
  } catch (const std::bad_alloc&) {
    tell(Status::no_memory());
  }
}

// Reports a failure once, however often it is repeated.
void StatsFile::tell(const Status& status) noexcept {
  const bool before = std::exchange(failing_, !status.ok());
  if (failing_ && !before) source_.failed(status);
}

// A request that is counted after sleeping_ is set clears it; a request that was counted before
// changes the number that is compared.
StatsFile::Delay StatsFile::work() noexcept {
  const auto now = Clock::now();
  const auto until = sleeping_.load(std::memory_order_seq_cst) ? later_ : next_;
  if (until == Clock::time_point::max()) return Workers::kUntilWoken;
  if (now < until) return std::chrono::ceil<Delay>(until - now);
  sleeping_.store(false, std::memory_order_relaxed);
  const uint64_t requests = source_.requests();
  bool changed = false;
  try {
    changed = look();
  } catch (const std::bad_alloc&) {
    tell(Status::no_memory());
  }
  // The cost of a look grows with the amount of stored data, so looks are limited to a twentieth of
  // a CPU.
  const auto end = Clock::now();
  next_ = end + std::max<Clock::duration>(timing_.shortest, 19 * (end - now));
  delay_ = changed ? timing_.shortest : 2 * delay_;
  later_ = std::max(next_, end + delay_);
  if (delay_ > timing_.longest) later_ = Clock::time_point::max();
  if (!changed) {
    sleeping_.store(true, std::memory_order_seq_cst);
    if (source_.requests() != requests) sleeping_.store(false, std::memory_order_relaxed);
  }
  return Delay::zero();
}

// Returns whether there was something new and it has been written.
bool StatsFile::look() {
  std::string document = source_.document(false);
  if (document == last_) return false;
  const Status status = write(document);
  tell(status);
  if (!status.ok()) return false;
  last_ = std::move(document);
  return true;
}

}  // namespace ramdisk
