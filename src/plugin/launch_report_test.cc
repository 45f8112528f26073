// LaunchReport: what the parent of a fork does when its child reports, and when it does not. Each
// test is done in a process of its own, because the parent ends.

#include "plugin/launch_report.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

namespace ramdisk {
namespace {

// What became of a process that waits for a report.
struct Outcome {
  int status = -1;   // of its exit
  std::string told;  // what it told the user, and "went on" if it did
};

// Runs `child` in the child of a process with a report expected. The child ends when it returns.
template <typename Child>
Outcome launch(Child child) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const auto say = [&](const char* text) { (void)!write(ends[1], text, std::strlen(text)); };
  const pid_t parent = fork();
  if (parent == 0) {
    LaunchReport report(say);
    const pid_t pid = fork();
    if (pid == 0) {
      child(report, say);
      _exit(0);
    }
    say("went on");
    waitpid(pid, nullptr, 0);
    _exit(0);
  }
  close(ends[1]);
  Outcome outcome;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) {
    outcome.told.append(buffer, static_cast<size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  waitpid(parent, &status, 0);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

TEST(LaunchReport, AParentGoesOnAfterItsChildIsReady) {
  const Outcome outcome = launch([](LaunchReport& report, auto say) {
    usleep(50'000);
    say("ready, ");
    EXPECT_TRUE(report.report({}));
  });
  EXPECT_EQ(outcome.told, "ready, went on");
  EXPECT_EQ(outcome.status, 0);
}

TEST(LaunchReport, AFailureIsThatOfTheParent) {
  const std::string message(3000, 'x');
  const Outcome outcome = launch([&](LaunchReport& report, auto say) {
    EXPECT_TRUE(report.report(Status::error(EIO, message)));
    usleep(50'000);
    say("ended, ");
  });
  EXPECT_EQ(outcome.told, "ended, " + message);
  EXPECT_EQ(outcome.status, 1);
}

TEST(LaunchReport, AFailureThatWasToldAlreadyHasNoMessage) {
  const Outcome outcome = launch(
      [](LaunchReport& report, auto) { EXPECT_TRUE(report.report(Status::error(EIO, ""))); });
  EXPECT_EQ(outcome.told, "");
  EXPECT_EQ(outcome.status, 1);
}

TEST(LaunchReport, AChildThatEndsIsWaitedForNoLonger) {
  const Outcome outcome = launch([](LaunchReport&, auto) { _exit(3); });
  EXPECT_EQ(outcome.told, "went on");
  EXPECT_EQ(outcome.status, 0);
}

// As a filter does that runs a script before nbdkit forks.
TEST(LaunchReport, AChildThatRunsAnotherProgramIsNotWaitedFor) {
  const Outcome outcome = launch([](LaunchReport&, auto) {
    execl("/bin/sh", "sh", "-c", "sleep 1", nullptr);
    _exit(1);
  });
  EXPECT_EQ(outcome.told, "went on");
}

TEST(LaunchReport, AGrandchildMayReport) {
  const Outcome outcome = launch([](LaunchReport& report, auto say) {
    const pid_t pid = fork();
    if (pid == 0) {
      say("ready, ");
      EXPECT_TRUE(report.report({}));
      _exit(0);
    }
    waitpid(pid, nullptr, 0);
  });
  EXPECT_EQ(outcome.told, "ready, went on");
}

TEST(LaunchReport, WithoutAForkNobodyWaits) {
  LaunchReport report([](const char*) { ADD_FAILURE(); });
  EXPECT_FALSE(report.report(Status::error(EIO, "")));
}

TEST(LaunchReport, LaterForksAreNotHeldBack) {
  LaunchReport report([](const char*) { ADD_FAILURE(); });
  EXPECT_FALSE(report.report({}));
  const pid_t pid = fork();
  if (pid == 0) {
    sleep(600);
    _exit(0);
  }
  EXPECT_EQ(kill(pid, SIGKILL), 0);  // it is still there
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status));
}

}  // namespace
}  // namespace ramdisk
