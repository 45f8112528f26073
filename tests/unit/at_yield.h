// Has a test's own steps happen between two steps of the code under test: see base/yield.h.
//
// Most of what is tested so takes no locks, so one thread can play all parts: what another thread
// would do is done by the hook, in the thread that came by, and its order is known.

#ifndef RAMDISK_UNIT_AT_YIELD_H
#define RAMDISK_UNIT_AT_YIELD_H

#include <gtest/gtest.h>

#include <functional>
#include <string_view>
#include <utility>

#include "base/yield.h"

namespace ramdisk::unit {

#ifdef RAMDISK_CHECKS
inline constexpr bool kYieldPoints = true;
#else
inline constexpr bool kYieldPoints = false;
#endif

// While it lives, step(place) is called at each yield point. The step itself may come by others:
// then it is called again, up to `depth` deep. One at a time; other threads come by between its
// beginning and its end only.
class AtYield {
 public:
  using Step = std::function<void(std::string_view place)>;

  explicit AtYield(Step step, int depth = 1) : step_(std::move(step)), depth_(depth) {
    active_ = this;
#ifdef RAMDISK_CHECKS
    yield_hook.store(&hook, std::memory_order_release);
#endif
  }
  ~AtYield() {
#ifdef RAMDISK_CHECKS
    yield_hook.store(nullptr, std::memory_order_release);
#endif
    active_ = nullptr;
  }
  AtYield(const AtYield&) = delete;
  AtYield& operator=(const AtYield&) = delete;

 private:
  [[maybe_unused]] static void hook(const char* place) {
    thread_local int depth = 0;
    if (depth == active_->depth_) return;
    ++depth;
    active_->step_(place);
    --depth;
  }

  inline static AtYield* active_ = nullptr;
  const Step step_;
  const int depth_;
};

// A test that needs yield points says so first.
#define NEEDS_YIELD_POINTS() \
  if (!unit::kYieldPoints) GTEST_SKIP() << "SKIP: built without yield points (RAMDISK_CHECKS)"

}  // namespace ramdisk::unit

#endif
