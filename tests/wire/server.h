// A real nbdkit with the plugin under test, on a Unix socket in a directory of its own.
//
// The plugin under test is the file that the environment variable NBDKIT_MEMORY_PLUGIN names, or
// the one that this build made. Without nbdkit the program's main() ends with 77 before any test.
//
// Thread contract: a Server belongs to the thread that made it; the const members may be called
// from any thread.

#ifndef RAMDISK_TESTS_WIRE_SERVER_H
#define RAMDISK_TESTS_WIRE_SERVER_H

#include <sys/types.h>

#include <string>
#include <vector>

namespace wire {

using Words = std::vector<std::string>;

std::string plugin_path();
bool have_filter(const std::string& name);

// Options that nbdkit itself needs when clients break off in the middle of things.
Words options_for_rough_clients();

// A directory that goes away, with what is in it, when the object does.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// How nbdkit is told to run: -f, forking into the background, or captive with --run.
enum class Mode { foreground, background, captive };

class Server {
 public:
  // Starts nbdkit [options] PLUGIN [parameters] and returns when it serves. Throws
  // std::runtime_error with what nbdkit printed when it does not start.
  explicit Server(const Words& parameters, const Words& options = {}, Mode mode = Mode::foreground);

  // Stops the server; a test failure if it did not end cleanly, for example because it crashed.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // The process that serves.
  pid_t pid() const { return pid_; }
  const std::string& socket() const { return socket_; }
  const std::string& directory() const { return directory_.path(); }

  // What nbdkit printed on standard error so far.
  std::string log() const;

  // A line of /proc/PID/status of the serving process, such as VmRSS or VmLck, in KiB.
  long status_kib(const std::string& field) const;

  // Ends the server with SIGTERM, or waits for its end when it ends by itself. The wait status:
  // 0 when it ended well.
  int stop();
  int wait();

 private:
  void await_start();

  TempDir directory_;
  std::string socket_;
  Mode mode_;
  pid_t launcher_ = -1;  // what we forked; the serving process itself in the foreground
  pid_t pid_ = -1;
  int captive_stdin_ = -1;  // the captive command ends when this is closed
  bool stopped_ = false;
};

// What became of a command line that nbdkit should refuse or that ends by itself.
struct Outcome {
  int status = 0;      // as waitpid() gives it
  std::string errors;  // standard error
};

// Runs nbdkit PLUGIN [parameters] --run true.
Outcome try_parameters(const Words& parameters);

}  // namespace wire

#endif
