// Counts what requests of several threads write in common, and says what that lets a machine with
// more CPUs expect. Prints a Markdown table.
//
//   shared_writes COUNTED PLAIN [ALLOCATOR]...
//
// COUNTED is the plugin compiled with -fsanitize=thread and linked without it (access_counter.h),
// PLAIN the same without that flag, whose requests are timed. Each thread has a part of the disk of
// its own, so what the threads share is the plugin's.
//
// The prediction is an upper bound, from the cost of moving a line from one CPU to another, which
// differs from machine to machine and is assumed here (kMoving). What is written to the hottest
// line passes through it one after the other; and a request waits for each other line that it
// shares.

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "access_counter.h"
#include "disk.h"
#include "measure.h"
#include "support/data.h"

namespace {

using bench::Disk;
using bench::Random;
using ramdisk::support::Bytes;

constexpr unsigned kThreads = 4;  // that are counted; they need not run at the same time
constexpr uint64_t kPart = uint64_t{16} << 20;
constexpr uint64_t kSize = kThreads * kPart;
constexpr uint32_t kPage = 4096;
constexpr uint32_t kBlock = 262144;
constexpr int kCpus[] = {16, 64};
constexpr double kMoving = 100;  // ns, for a line in the cache of another CPU of the same socket

enum class Order { ascending, random };

struct Request {
  const char* name;
  uint32_t bytes;
  Order order;
  bool fresh;  // on a disk without content
  void (*send)(const Disk&, std::byte* buffer, uint32_t bytes, uint64_t offset);
};

void send_read(const Disk& disk, std::byte* buffer, uint32_t bytes, uint64_t offset) {
  disk.read(buffer, bytes, offset);
}
void send_write(const Disk& disk, std::byte* buffer, uint32_t bytes, uint64_t offset) {
  disk.write(buffer, bytes, offset);
}
void send_trim(const Disk& disk, std::byte*, uint32_t bytes, uint64_t offset) {
  disk.trim(bytes, offset);
}

constexpr Request kRequests[] = {
    {"first fill", kBlock, Order::ascending, true, send_write},
    {"overwrite", kBlock, Order::ascending, false, send_write},
    {"read", kBlock, Order::ascending, false, send_read},
    {"random write", kPage, Order::random, false, send_write},
    {"random read", kPage, Order::random, false, send_read},
    {"trim", kPage, Order::ascending, false, send_trim},
};

// Real files are half noise; so that groups of pages have something in common, the rest is text.
Bytes make_block(unsigned thread) {
  ramdisk::support::Rng rng(thread + 1);
  Bytes block(kBlock);
  for (size_t at = 0; at < block.size(); at += kPage) {
    const std::span page = std::span(block).subspan(at, kPage);
    ramdisk::support::fill(page.first(1024), ramdisk::support::Data::random, rng);
    ramdisk::support::fill(page.subspan(1024), ramdisk::support::Data::text, rng);
  }
  return block;
}

// Sends every thread's requests over its part once. Returns the seconds of all threads together.
double send_all(const Disk& disk, const Request& request, unsigned threads) {
  // All are there at once, or one thread's would be where another one's has been.
  std::vector<Bytes> blocks;
  for (unsigned thread = 0; thread < threads; ++thread) blocks.push_back(make_block(thread));
  return bench::together(threads, [&](unsigned thread) {
    Bytes& block = blocks[thread];
    Random random(thread + 1);
    const uint64_t count = kPart / request.bytes;
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t number = request.order == Order::random ? random.below(count) : i;
      std::byte* const from = block.data() + (i * request.bytes) % kBlock;
      bench::begin_request();
      request.send(disk, from, request.bytes, thread * kPart + number * request.bytes);
    }
  });
}

// A disk as the request expects it.
class Prepared {
 public:
  Prepared(const std::string& plugin, const std::string& allocator, const Request& request)
      : disk_(plugin, {{"size", std::to_string(kSize)}, {"allocator", allocator}}) {
    if (!request.fresh) send_all(disk_, kRequests[0], kThreads);
    bench::sleep_seconds(request.fresh ? 0 : 0.3);  // what the fill left to the background
  }
  const Disk& disk() const { return disk_; }

 private:
  Disk disk_;
};

void print_row(const std::string& allocator, const Request& request, const std::string& counted,
               const std::string& plain) {
  bench::Accesses found;
  {
    const Prepared prepared(counted, allocator, request);
    bench::start_counting();
    send_all(prepared.disk(), request, kThreads);
    found = bench::stop_counting();
  }
  if (found.all == 0)
    throw std::runtime_error(counted + " was not compiled with -fsanitize=thread");
  double nanoseconds = 0;
  {
    const Prepared prepared(plain, allocator, request);
    nanoseconds =
        send_all(prepared.disk(), request, 1) * 1e9 / static_cast<double>(kPart / request.bytes);
  }
  const double requests = static_cast<double>(kSize / request.bytes);
  const auto each = [&](uint64_t count) { return static_cast<double>(count) / requests; };
  std::printf("| %s | %s | %uK | %.2f us | %.2f | %.2f | %.3f | %.2f |", allocator.c_str(),
              request.name, request.bytes / 1024, nanoseconds / 1000, each(found.shared_writes),
              each(found.shared_reads), each(found.hottest_writes), each(found.locks));
  const double waiting = nanoseconds + each(found.shared_writes) * kMoving;
  for (const int cpus : kCpus) {
    const double hottest = each(found.hottest_writes) * kMoving;
    const double most = hottest > 0 ? waiting / hottest : cpus;
    std::printf(" %.0f |", std::min<double>(cpus, most) * nanoseconds / waiting);
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: shared_writes COUNTED PLAIN [ALLOCATOR]...\n");
    return 2;
  }
  std::vector<std::string> allocators(argv + 3, argv + argc);
  if (allocators.empty()) allocators = {"sparse", "malloc", "zstd"};
  try {
    std::printf(
        "| disk | request | size | alone | shared writes | shared reads | to the hottest "
        "line | locks | as fast as so many alone: 16 CPUs | 64 CPUs |\n"
        "|---|---|---|---|---|---|---|---|---|---|\n");
    for (const std::string& allocator : allocators) {
      for (const Request& request : kRequests) print_row(allocator, request, argv[1], argv[2]);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "shared_writes: %s\n", error.what());
    return 1;
  }
  return 0;
}
