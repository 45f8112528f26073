// A std::mutex that clang's thread-safety analysis understands, and its scoped lock.
//
// src/README.md gives the order in which locks are taken.

#ifndef RAMDISK_BASE_MUTEX_H
#define RAMDISK_BASE_MUTEX_H

#include <mutex>

#include "base/thread_annotations.h"

namespace ramdisk {

class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }
  bool try_lock() TRY_ACQUIRE(true) { return mutex_.try_lock(); }

 private:
  std::mutex mutex_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace ramdisk

#endif
