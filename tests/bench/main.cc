// Drives the callbacks of an nbdkit memory plugin in this process, without a server.
//
// One run measures one group of workloads on one disk of one plugin, and prints its results as CSV
// lines. run.py runs all of them, for several plugins in turn.

#include <getopt.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <sstream>

#include "workload.h"

namespace bench {

namespace {

using Run = void (*)(const Options&, Report&);

const std::map<std::string, Run>& groups() {
  static const std::map<std::string, Run> all = {
      {"stream", run_stream},
      {"random", run_random},
      {"far", run_far},
      {"trim-half", run_trim_half},
      {"refill", run_refill},
      {"holes", run_holes},
      {"startup", run_startup},
      {"files-stream", run_files_stream},
      {"files-random", run_files_random},
      {"files-churn", run_files_churn},
      {"files-burst", run_files_burst},
      {"incompressible", run_incompressible},
      {"growth", run_growth},
  };
  return all;
}

[[noreturn]] void usage() {
  std::string names;
  for (const auto& [name, run] : groups()) names += " " + name;
  std::fprintf(stderr,
               "usage: inprocess --plugin PATH --group GROUP --corpus FILE [--name LABEL]\n"
               "  [--allocator sparse] [--size 1G] [--part BYTES] [--blocks 4K,256K]\n"
               "  [--threads 1,2] [--seconds 0.3] [--idle 5] [--count N]\n"
               "  [--warm BYTES] [--passes 5] [--reference] [--small-pages] [--verbose]\n"
               "groups:%s\n",
               names.c_str());
  std::exit(2);
}

uint64_t size_of(const std::string& text) {
  const int64_t size = nbdkit_parse_size(text.c_str());
  if (size < 0) usage();
  return static_cast<uint64_t>(size);
}

template <typename T>
std::vector<T> list_of(const std::string& text) {
  std::vector<T> list;
  std::istringstream stream(text);
  for (std::string item; std::getline(stream, item, ',');) {
    list.push_back(static_cast<T>(size_of(item)));
    if (list.back() == 0) usage();
  }
  if (list.empty()) usage();
  return list;
}

Options parse(int argc, char** argv) {
  Options o;
  const std::map<std::string, std::function<void(const std::string&)>> setters = {
      {"plugin", [&](const std::string& v) { o.plugin = v; }},
      {"name", [&](const std::string& v) { o.name = v; }},
      {"allocator", [&](const std::string& v) { o.allocator = v; }},
      {"group", [&](const std::string& v) { o.group = v; }},
      {"corpus", [&](const std::string& v) { o.corpus = v; }},
      {"size", [&](const std::string& v) { o.size = size_of(v); }},
      {"part", [&](const std::string& v) { o.part = size_of(v); }},
      {"blocks", [&](const std::string& v) { o.blocks = list_of<uint32_t>(v); }},
      {"threads", [&](const std::string& v) { o.threads = list_of<unsigned>(v); }},
      {"seconds", [&](const std::string& v) { o.seconds = std::atof(v.c_str()); }},
      {"idle", [&](const std::string& v) { o.idle = std::atof(v.c_str()); }},
      {"warm", [&](const std::string& v) { o.warm = size_of(v); }},
      {"count", [&](const std::string& v) { o.count = static_cast<uint32_t>(size_of(v)); }},
      {"passes", [&](const std::string& v) { o.passes = list_of<unsigned>(v).front(); }},
      {"reference", [&](const std::string&) { o.reference = true; }},
      {"small-pages", [&](const std::string&) { o.pages = Pages::small; }},
      {"verbose", [&](const std::string&) { o.verbose = true; }},
  };
  std::vector<option> known;
  for (const auto& [name, set] : setters) {
    const bool flag = name == "reference" || name == "small-pages" || name == "verbose";
    known.push_back({name.c_str(), flag ? no_argument : required_argument, nullptr, 0});
  }
  known.push_back({nullptr, 0, nullptr, 0});
  int index = 0;
  int found = 0;
  while ((found = getopt_long(argc, argv, "", known.data(), &index)) == 0) {
    setters.at(known[static_cast<size_t>(index)].name)(optarg ? optarg : "");
  }
  const bool complete = !o.plugin.empty() && !o.corpus.empty() && groups().count(o.group);
  if (found != -1 || optind != argc || !complete) usage();
  return o;
}

void check(const Options& o) {
  for (const uint32_t block : o.blocks) {
    if (block > Buffers::kBytes || o.size % block != 0) {
      throw std::runtime_error("a block is at most 256 KiB and divides the size");
    }
  }
  if (o.size % Buffers::kBytes != 0 || o.part > o.size || o.part % Buffers::kBytes != 0) {
    throw std::runtime_error("size and part are multiples of 256 KiB; part is not over size");
  }
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  try {
    const bench::Options options = bench::parse(argc, argv);
    bench::check(options);
    bench::set_verbose(options.verbose);
    bench::Report report(options.name, options.allocator);
    bench::groups().at(options.group)(options, report);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "inprocess: %s\n", error.what());
    return 1;
  }
  return 0;
}
