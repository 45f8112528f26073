#include "plugin/launch_report.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace ramdisk {

namespace {

LaunchReport* expected;  // the one that forks are held back for

// The first byte of a report; after `failed`, its message follows.
constexpr char kReady = 'r';
constexpr char kFailed = 'f';

}  // namespace

// What is registered with the system cannot be removed again, so it is registered once, and does
// nothing unless a report is expected.
LaunchReport::LaunchReport(std::function<void(const char*)> tell) : tell_(std::move(tell)) {
  static const bool registered = pthread_atfork(before_fork, in_parent, in_child) == 0;
  CHECK(!expected);
  if (registered) expected = this;
}

LaunchReport::~LaunchReport() {
  if (expected == this) expected = nullptr;
  close_end(0);
  close_end(1);
}

void LaunchReport::close_end(int end) noexcept {
  if (ends_[end] >= 0) close(std::exchange(ends_[end], -1));
}

void LaunchReport::before_fork() {
  if (expected) expected->open_channel();
}

void LaunchReport::in_parent() {
  if (expected) expected->wait_for_child();
}

void LaunchReport::in_child() {
  if (expected) expected->close_end(0);
}

// If the child forks in turn before it reports, its child reports through the same channel.
void LaunchReport::open_channel() noexcept {
  if (ends_[1] >= 0) return;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_) != 0) ends_[0] = ends_[1] = -1;
}

// The channel ends when all processes that could report have ended. That is waited for after a
// failure, too, so that the user who tries again finds nothing in the way.
void LaunchReport::wait_for_child() {
  if (ends_[0] < 0) return;
  close_end(1);
  std::string text;
  char buffer[512];
  while (text.empty() || text.front() == kFailed) {
    const ssize_t n = read(ends_[0], buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  close_end(0);
  if (text.empty() || text.front() != kFailed) return;
  if (text.size() > 1) tell_(text.c_str() + 1);
  _exit(EXIT_FAILURE);
}

bool LaunchReport::report(const Status& status) noexcept {
  if (expected == this) expected = nullptr;
  if (ends_[1] < 0) return false;
  const char first = status.ok() ? kReady : kFailed;
  const char* message = status.message();
  bool sent = send(ends_[1], &first, 1, MSG_NOSIGNAL) == 1;
  for (size_t done = 0, all = status.ok() ? 0 : std::strlen(message); sent && done < all;) {
    const ssize_t n = send(ends_[1], message + done, all - done, MSG_NOSIGNAL);
    sent = n > 0 || errno == EINTR;
    if (n > 0) done += static_cast<size_t>(n);
  }
  if (status.ok()) close_end(1);
  return sent;
}

}  // namespace ramdisk
