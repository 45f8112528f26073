// Runs one piece of work in several threads that start together.
//
// A harness runs with one thread first, in the caller's own: then a failure is one of logic.

#ifndef RAMDISK_UNIT_THREADS_H
#define RAMDISK_UNIT_THREADS_H

#include <latch>
#include <thread>
#include <vector>

namespace ramdisk::unit {

// Calls work(i) for each i below `threads` and returns when all have returned.
template <typename Work>
void run_threads(int threads, Work work) {
  if (threads == 1) {
    work(0);
    return;
  }
  std::latch start(threads);
  std::vector<std::thread> running;
  running.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      start.arrive_and_wait();
      work(i);
    });
  }
  for (std::thread& thread : running) thread.join();
}

}  // namespace ramdisk::unit

#endif
