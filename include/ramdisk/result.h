// A Status or, when that is ok, a value.

#ifndef RAMDISK_RESULT_H
#define RAMDISK_RESULT_H

#include <utility>

#include "ramdisk/status.h"

namespace ramdisk {

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(Status error) : status_(std::move(error)) {}  // NOLINT: implicit, as `return Status::…`
  Result(T value) : value_(std::move(value)) {}        // NOLINT: implicit, as `return value`

  bool ok() const noexcept { return status_.ok(); }
  const Status& status() const noexcept { return status_; }
  T& value() noexcept { return value_; }  // default-constructed unless ok()

 private:
  Status status_;
  T value_{};
};

}  // namespace ramdisk

#endif
