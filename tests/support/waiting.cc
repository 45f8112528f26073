#include "support/waiting.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace ramdisk::support {

bool others_sleep(pid_t except) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    const std::string tid = entry.path().filename();
    if (tid == std::to_string(gettid()) || tid == std::to_string(except)) continue;
    std::ifstream stat(entry.path() / "stat");
    std::string line;
    std::getline(stat, line);
    const size_t name_end = line.rfind(')');
    if (name_end != std::string::npos && line.compare(name_end, 3, ") R") == 0) return false;
  }
  return true;
}

}  // namespace ramdisk::support
