#include "memory/populate.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>
#include <vector>

#include "base/cpus.h"

namespace ramdisk {

namespace {

// Joins its threads, however the scope ends. (std::jthread is not in every C++20 library.)
class Helpers {
 public:
  Helpers() = default;
  ~Helpers() { join(); }
  Helpers(const Helpers&) = delete;
  Helpers& operator=(const Helpers&) = delete;

  size_t count() const { return threads_.size(); }
  void start(const auto& work) { threads_.emplace_back(work); }
  void join() noexcept {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::vector<std::thread> threads_;
};

}  // namespace

bool populate_in_parallel(MemorySource& memory, std::byte* base, size_t bytes) {
  constexpr size_t kPiece = size_t{64} << 20;  // whole huge pages
  const size_t pieces = bytes / kPiece + (bytes % kPiece != 0);
  // Relaxed: joining orders everything else.
  std::atomic<size_t> next{0};
  std::atomic<bool> good{true};
  const auto work = [&] {
    for (;;) {
      const size_t piece = next.fetch_add(1, std::memory_order_relaxed);
      if (piece >= pieces || !good.load(std::memory_order_relaxed)) return;
      const size_t at = piece * kPiece;
      if (!memory.populate(base + at, std::min(kPiece, bytes - at))) {
        good.store(false, std::memory_order_relaxed);
      }
    }
  };
  Helpers helpers;
  try {
    const size_t threads = std::min(pieces, cpus());
    while (helpers.count() + 1 < threads) helpers.start(work);
  } catch (const std::exception&) {
    // The threads that there are populate every piece; it only takes longer.
  }
  work();
  helpers.join();
  return good.load(std::memory_order_relaxed);
}

}  // namespace ramdisk
