// The result of an operation that can fail: success, or one errno and one message.
//
// A Status is a value. Nothing below the plugin reports an error in any other way; the plugin
// turns it into nbdkit_error() and nbdkit_set_error(), once, at the C boundary.
//
// Thread contract: as for int; distinct objects are independent.

#ifndef RAMDISK_STATUS_H
#define RAMDISK_STATUS_H

#include <cerrno>
#include <string>
#include <utility>

namespace ramdisk {

class [[nodiscard]] Status {
 public:
  Status() noexcept = default;  // success

  // `message` must be a string literal or outlive every copy. Allocates nothing, so this is the
  // form to use when memory is short.
  static Status error(int errnum, const char* message) noexcept {
    Status s;
    s.errnum_ = errnum;
    s.literal_ = message;
    return s;
  }

  static Status error(int errnum, std::string message) {
    Status s;
    s.errnum_ = errnum;
    s.text_ = std::move(message);
    return s;
  }

  static Status no_memory() noexcept {
    return error(ENOMEM, "out of memory: the disk cannot take more data");
  }

  bool ok() const noexcept { return errnum_ == 0; }
  int errnum() const noexcept { return errnum_; }  // 0 if ok()
  const char* message() const noexcept { return literal_ ? literal_ : text_.c_str(); }

 private:
  int errnum_ = 0;
  const char* literal_ = nullptr;
  std::string text_;
};

}  // namespace ramdisk

#endif
