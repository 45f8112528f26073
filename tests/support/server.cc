// Starts, watches and stops the nbdkit of one test, and holds the main() of every wire test.

#include "support/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

namespace wire {
namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(5);
constexpr int kPolls = 12000;  // a minute: enough for a slow machine, short of the test's timeout

std::string slurp(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// What `nbdkit --dump-config` says about `key`.
std::string dump_config(const std::string& key) {
  std::FILE* pipe = popen(("nbdkit --dump-config | sed -n 's/^" + key + "=//p'").c_str(), "r");
  if (!pipe) return {};
  std::string value;
  for (int c; (c = std::getc(pipe)) != EOF && c != '\n';) value += static_cast<char>(c);
  pclose(pipe);
  return value;
}

void redirect(int from, int to) {
  if (from == to) return;
  dup2(from, to);
  close(from);
}

// Forks and executes `words`; standard error goes to the file `log`, standard input comes from
// `input`. Between fork and exec only async-signal-safe calls.
pid_t spawn(const Words& words, const std::string& log, int input) {
  std::vector<char*> argv;
  // nbdkit is not built with a sanitizer when the plugin is, so it has to be given the library.
  static std::string preload[] = {"env", "ASAN_OPTIONS=detect_leaks=1",
                                  "LD_PRELOAD=" RAMDISK_PRELOAD};
  if (*RAMDISK_PRELOAD) argv = {preload[0].data(), preload[1].data(), preload[2].data()};
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const int errors = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const pid_t pid = fork();
  if (pid != 0) {
    if (errors >= 0) close(errors);
    return pid;
  }
  redirect(errors, STDERR_FILENO);
  redirect(input, STDIN_FILENO);
  execvp(argv[0], argv.data());
  _exit(127);
}

// Waits for the end of `pid`. Returns 0 if another call has reaped it.
int reap(pid_t pid) {
  int status = 0;
  pid_t got;
  do {
    got = waitpid(pid, &status, 0);
  } while (got < 0 && errno == EINTR);
  return got == pid ? status : 0;
}

// Whether the sanitizer's report in `log` is only about memory that nbdkit itself has leaked, as it
// does at times with a connection that is still open at the end. The owner of the memory is the
// caller of malloc, which is frame 1 of each stack.
bool only_nbdkit_leaks(const std::string& log) {
  std::istringstream lines(log);
  int leaks = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("ERROR: AddressSanitizer") != line.npos) return false;
    if (line.find("runtime error:") != line.npos) return false;
    if (line.find("    #1 ") != 0) continue;
    if (line.find("/nbdkit+0x") == line.npos) return false;
    ++leaks;
  }
  return leaks > 0 && log.find("ERROR: LeakSanitizer") != log.npos;
}

}  // namespace

std::string plugin_path() {
  const char* given = getenv("NBDKIT_MEMORY_PLUGIN");
  return given && *given ? given : RAMDISK_PLUGIN;
}

bool have_filter(const std::string& name) {
  static const std::string directory = dump_config("filterdir");
  return std::filesystem::exists(directory + "/nbdkit-" + name + "-filter.so");
}

// nbdkit before 1.34 aborts, with any plugin, when a client leaves while several of the threads
// that serve it have replies to send (assertion "sock >= 0"). With one thread for each connection
// it does not, and the connections still run side by side in the plugin.
//
// With the address sanitizer's library, nbdkit never ends, with any plugin, once threads have
// printed errors of the C library: the count of a lock in there goes below zero. Reports of the
// sanitizer do not need nbdkit's log.
bool nbdkit_is_older_than(int minor) {
  const std::string ours = dump_config("version_minor");
  return !ours.empty() && std::stoi(ours) < minor;
}

Words options_for_rough_clients() {
  Words options;
  if (nbdkit_is_older_than(34)) options.push_back("--threads=1");
  if (*RAMDISK_PRELOAD) options.push_back("--log=null");
  return options;
}

TempDir::TempDir() {
  const char* parent = getenv("TMPDIR");
  path_ = std::string(parent && *parent ? parent : "/tmp") + "/memory-wire." + std::string(6, 'X');
  if (!mkdtemp(path_.data())) throw std::runtime_error("cannot make a temporary directory");
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Server::Server(const Words& parameters, const Words& options, Mode mode)
    : socket_(directory_.path() + "/socket"), mode_(mode) {
  Words words = {"nbdkit", "-U", socket_, "-P", directory_.path() + "/pid"};
  if (mode == Mode::foreground) words.insert(words.end(), {"-f", "--exit-with-parent"});
  words.insert(words.end(), options.begin(), options.end());
  words.push_back(plugin_path());
  words.insert(words.end(), parameters.begin(), parameters.end());
  int input[2] = {-1, -1};
  if (mode == Mode::captive) {
    words.insert(words.end(), {"--run", "read line"});
    if (pipe2(input, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    captive_stdin_ = input[1];
  } else {
    input[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
  launcher_ = spawn(words, directory_.path() + "/log", input[0]);
  close(input[0]);
  await_start();
}

// nbdkit writes its pid file last, when it is ready to serve.
void Server::await_start() {
  const std::string pidfile = directory_.path() + "/pid";
  for (int i = 0; i < kPolls; ++i) {
    const std::string text = slurp(pidfile);
    if (!text.empty() && text.back() == '\n') {
      pid_ = static_cast<pid_t>(std::stol(text));
      if (mode_ == Mode::background) reap(launcher_);
      return;
    }
    int status = 0;
    const pid_t ended = waitpid(launcher_, &status, WNOHANG);
    if (ended == launcher_ && !(mode_ == Mode::background && status == 0)) {
      if (captive_stdin_ >= 0) close(captive_stdin_);
      throw std::runtime_error("nbdkit did not start: " + log());
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  kill(launcher_, SIGKILL);
  reap(launcher_);
  throw std::runtime_error("nbdkit does not get ready: " + log());
}

Server::~Server() {
  const int status = stop();
  if (status != 0) ADD_FAILURE() << "nbdkit ended with wait status " << status << ": " << log();
}

std::string Server::log() const {
  return slurp(directory_.path() + "/log");
}

long Server::status_kib(const std::string& field) const {
  std::ifstream in("/proc/" + std::to_string(pid_) + "/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(field + ":")) return std::stol(line.substr(field.size() + 1));
  }
  return -1;
}

int Server::stop() {
  if (stopped_) return 0;
  if (mode_ != Mode::captive) kill(pid_, SIGTERM);
  return wait();
}

int Server::wait() {
  if (stopped_) return 0;
  stopped_ = true;
  if (captive_stdin_ >= 0) close(captive_stdin_);
  int status = reap(pid_);  // of a captive server its launcher is the parent: nothing to reap yet
  if (launcher_ != pid_ && mode_ == Mode::captive) {
    const int ended = reap(launcher_);
    // `read` fails at the end of its input; what counts is that the server was not killed.
    if (WIFSIGNALED(ended)) status = ended;
    reap(pid_);
  }
  return status != 0 && *RAMDISK_PRELOAD && only_nbdkit_leaks(log()) ? 0 : status;
}

Outcome try_parameters(const Words& parameters) {
  const TempDir directory;
  Words words = {"nbdkit", "-U", directory.path() + "/socket", plugin_path()};
  words.insert(words.end(), parameters.begin(), parameters.end());
  words.insert(words.end(), {"--run", "true"});
  const std::string log = directory.path() + "/log";
  const int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const pid_t pid = spawn(words, log, input);
  close(input);
  const int status = reap(pid);
  return {status, slurp(log)};
}

}  // namespace wire

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (GTEST_FLAG_GET(list_tests)) return RUN_ALL_TESTS();
  if (wire::dump_config("version").empty()) {
    std::puts("SKIP: nbdkit is not installed");
    return 77;
  }
  std::printf("plugin: %s\n", wire::plugin_path().c_str());
  // Servers in the background become our children, so that their end can be waited for.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  signal(SIGPIPE, SIG_IGN);
  return RUN_ALL_TESTS();
}
