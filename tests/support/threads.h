// Runs one function on several threads that start together.
//
// A harness runs with one thread first: what fails then has nothing to do with concurrency.

#ifndef RAMDISK_SUPPORT_THREADS_H
#define RAMDISK_SUPPORT_THREADS_H

#include <barrier>
#include <exception>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/namespaces.h"

namespace ramdisk::support {

// Calls body(0) to body(count - 1), each on a thread of its own, and returns when all have ended.
// `on_start` is called by one of the threads when all of them are ready, before any body begins.
// If bodies throw, the exception of the lowest-numbered thread is thrown again here.
//
// A body may return a complaint, which is a text that is empty if nothing is wrong. Then the
// result is all complaints, a line each, so that the threads need not use the test framework.
template <typename Body, typename OnStart>
auto run_threads(int count, Body body, OnStart on_start) {
  constexpr bool complains = !std::is_void_v<std::invoke_result_t<Body&, int>>;
  std::vector<std::string> complaints(count);
  std::vector<std::exception_ptr> exceptions(count);
  std::barrier start(count, [&]() noexcept { on_start(); });
  std::vector<std::thread> threads;
  threads.reserve(count);
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      start.arrive_and_wait();
      try {
        if constexpr (complains) {
          complaints[i] = body(i);
        } else {
          body(i);
        }
      } catch (...) {
        exceptions[i] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& exception : exceptions) {
    if (exception) std::rethrow_exception(exception);
  }
  if constexpr (complains) {
    std::string all;
    for (int i = 0; i < count; ++i) {
      const std::string& one = complaints[i];
      if (!one.empty()) all += "thread " + std::to_string(i) + ": " + one + "\n";
    }
    return all;
  }
}

template <typename Body>
auto run_threads(int count, Body body) {
  return run_threads(count, std::move(body), [] {});
}

}  // namespace ramdisk::support

#endif
