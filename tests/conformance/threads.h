// Runs one function on several threads that start together.

#ifndef RAMDISK_CONFORMANCE_THREADS_H
#define RAMDISK_CONFORMANCE_THREADS_H

#include <latch>
#include <string>
#include <thread>
#include <vector>

namespace ramdisk::conformance {

// Calls body(0) to body(count - 1), each on its own thread, and returns the complaints, which are
// texts: empty when all went well. Threads do not use the test framework themselves.
template <typename Body>
std::string run_threads(int count, Body body) {
  std::vector<std::string> complaints(count);
  std::latch start(count);
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      start.arrive_and_wait();
      complaints[i] = body(i);
    });
  }
  std::string all;
  for (int i = 0; i < count; ++i) {
    threads[i].join();
    if (!complaints[i].empty()) all += "thread " + std::to_string(i) + ": " + complaints[i] + "\n";
  }
  return all;
}

}  // namespace ramdisk::conformance

#endif
