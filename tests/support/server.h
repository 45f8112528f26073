// A real nbdkit with the plugin under test, on a Unix socket in a directory of its own.
//
// The plugin under test is the file that the environment variable NBDKIT_MEMORY_PLUGIN names, or
// the one of this build. Where nbdkit is not installed, main() returns 77 before any test.
//
// Thread contract: a Server belongs to the thread that made it; any thread may call its const
// members.

#ifndef RAMDISK_SUPPORT_SERVER_H
#define RAMDISK_SUPPORT_SERVER_H

#include <sys/types.h>

#include <string>
#include <vector>

namespace wire {

using Words = std::vector<std::string>;

std::string plugin_path();
bool have_filter(const std::string& name);
// Whether the installed nbdkit is older than version 1.`minor`.
bool nbdkit_is_older_than(int minor);

// Options that nbdkit itself needs if clients leave in the middle of a request.
Words options_for_rough_clients();

// A directory that is deleted, with all files in it, when the object is destroyed.
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

// How nbdkit runs: with -f, forked into the background, or captive with --run.
enum class Mode { foreground, background, captive };

class Server {
 public:
  // Starts nbdkit [options] PLUGIN [parameters] and returns when it serves. If it does not start,
  // throws std::runtime_error with what nbdkit printed.
  explicit Server(const Words& parameters, const Words& options = {}, Mode mode = Mode::foreground);

  // Stops the server. The test fails if it did not end cleanly, for example because it crashed.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // The process that serves.
  pid_t pid() const { return pid_; }
  const std::string& socket() const { return socket_; }
  const std::string& directory() const { return directory_.path(); }

  // What nbdkit has printed on standard error until now.
  std::string log() const;

  // A line of /proc/PID/status of the serving process, such as VmRSS or VmLck, in KiB.
  long status_kib(const std::string& field) const;

  // Ends the server with SIGTERM, or waits until it ends by itself. Both return the wait status,
  // which is 0 if it ended well.
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

// The end of an nbdkit that refuses its command line or ends by itself.
struct Outcome {
  int status = 0;      // as waitpid() gives it
  std::string errors;  // standard error
};

// Runs nbdkit PLUGIN [parameters] --run true.
Outcome try_parameters(const Words& parameters);

}  // namespace wire

#endif
