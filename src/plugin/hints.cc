#include "plugin/hints.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include "base/digits.h"
#include "base/names.h"
#include "disk/options.h"

namespace ramdisk {

namespace {

struct Parameter {
  std::string_view name;
  std::string_view example;  // what to type
};

// All parameters, in the order of the help. The messages know no others.
constexpr std::array kParameters{
    Parameter{"size", "size=1G"},
    Parameter{"load", "load=disk.img"},
    Parameter{"save", "save=disk.img"},
    Parameter{"image", "image=disk.img"},
    Parameter{"exports", "exports=a,b"},
    Parameter{"exports-max", "exports-max=100"},
    Parameter{"scratch", "scratch=true"},
    Parameter{"allocator", "allocator=zstd"},
    Parameter{"mlock", "mlock=true"},
    Parameter{"max-memory", "max-memory=4G"},
    Parameter{"dump", "dump=true"},
    Parameter{"stats-export", "stats-export=stats"},
    Parameter{"stats-file", "stats-file=disk.json"},
    Parameter{"stats-format", "stats-format=json"},
};

// What other programs call it: a word, and what is written here instead.
constexpr std::array kOtherWords{
    Parameter{"clone", "scratch"},
    Parameter{"compress", "allocator=zstd"},
    Parameter{"compression", "allocator=zstd"},
    Parameter{"disk", "size"},
    Parameter{"disks", "exports"},
    Parameter{"file", "load"},
    Parameter{"filename", "load"},
    Parameter{"limit", "max-memory"},
    Parameter{"maxmem", "max-memory"},
    Parameter{"mem", "max-memory"},
    Parameter{"memory-limit", "max-memory"},
    Parameter{"memory-max", "max-memory"},
    Parameter{"name", "exports"},
    Parameter{"output", "save"},
    Parameter{"path", "load"},
    Parameter{"persist", "image"},
    Parameter{"preload", "load"},
    Parameter{"private", "scratch"},
    Parameter{"source", "load"},
    Parameter{"type", "allocator"},
};

// What is an option of nbdkit, and not a parameter of any plugin.
constexpr std::array kServerOptions{
    Parameter{"foreground", "--foreground"}, Parameter{"pidfile", "--pidfile=FILE"},
    Parameter{"port", "--port=PORT"},        Parameter{"readonly", "--readonly"},
    Parameter{"socket", "--unix=SOCKET"},    Parameter{"threads", "--threads=N"},
    Parameter{"tls", "--tls=MODE"},          Parameter{"unix", "--unix=SOCKET"},
    Parameter{"user", "--user=USER"},        Parameter{"verbose", "--verbose"},
};

std::vector<std::string_view> parameter_names() {
  std::vector<std::string_view> names;
  names.reserve(kParameters.size());
  for (const Parameter& parameter : kParameters) names.push_back(parameter.name);
  return names;
}

const Parameter* find(std::span<const Parameter> parameters, std::string_view name) {
  const auto found = std::find_if(parameters.begin(), parameters.end(),
                                  [&](const Parameter& p) { return p.name == name; });
  return found == parameters.end() ? nullptr : &*found;
}

const Parameter* find_parameter(std::string_view name) {
  return find(kParameters, name);
}

bool contains(const std::vector<std::string_view>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Only zstd has options that are no parameters.
std::string as_option(std::string_view name, std::string_view value) {
  return "allocator=zstd," + std::string(name) + "=" + std::string(value);
}

// Returns what to type to get what `word`, a word alone, stands for; empty if that is not known.
std::string written_out(std::string_view word) {
  if (parse_allocator(word).ok()) return "allocator=" + std::string(word);
  if (word.find('/') != std::string_view::npos || word.ends_with(".img")) {
    return "load=" + std::string(word);
  }
  if (word.size() < 3) return {};  // a letter or two begin many names
  const std::vector<std::string_view> parameters = parameter_names();
  if (const std::string_view name = similar_name(word, parameters); !name.empty()) {
    return std::string(find_parameter(name)->example);
  }
  if (const std::string_view name = similar_name(word, allocator_options()); !name.empty()) {
    return as_option(name, name == "level" ? "9" : name == "cache" ? "64M" : "false");
  }
  const std::string_view allocator = similar_name(word, allocator_names());
  return allocator.empty() ? std::string() : "allocator=" + std::string(allocator);
}

Status invalid(std::string text) {
  return Status::error(EINVAL, std::move(text));
}

}  // namespace

Status unknown_parameter(std::string_view name, std::string_view value) {
  std::string text = "unknown parameter '" + std::string(name) + "'";
  const std::vector<std::string_view> options = allocator_options();
  if (contains(options, name)) {
    return invalid(text + ": it is an option of the allocator, as in " + as_option(name, value));
  }
  if (contains(allocator_names(), name)) {
    return invalid(text + ": it is an allocator, as in allocator=" + std::string(name));
  }
  if (const Parameter* option = find(kServerOptions, name)) {
    return invalid(text + ": it is an option of nbdkit, " + std::string(option->example));
  }
  const std::vector<std::string_view> parameters = parameter_names();
  if (const Parameter* other = find(kOtherWords, name)) {
    text += ", did you mean " + std::string(other->example) + "?";
  } else if (const std::string_view near = similar_name(name, parameters); !near.empty()) {
    text += ", did you mean " + std::string(near) + "?";
  } else if (const std::string_view option = similar_name(name, options); !option.empty()) {
    text += ", did you mean " + as_option(option, value) + "?";
  }
  const char* before = " (known parameters: ";
  for (const std::string_view known : parameters) {
    text += before + std::string(known);
    before = ", ";
  }
  return invalid(text + ")");
}

Status check_word(std::string_view value, bool has_size) {
  if (value.empty() || begins_with_digit(value)) return {};
  const std::string meant = written_out(value);
  if (meant.empty() && !has_size) return {};
  const std::string text = "'" + std::string(value) + "' is no size; parameters are NAME=VALUE";
  return invalid(meant.empty() ? text : text + ", as in " + meant);
}

Status check_suffix(std::string_view name, std::string_view value) {
  const size_t digits = leading_digits(value);
  if (digits == 0 || digits == value.size()) return {};
  const std::string_view suffix = value.substr(digits);
  const size_t comma = value.find(',');
  if (comma < value.size() - 1 && !begins_with_digit(value.substr(comma + 1))) {
    return invalid(std::string(name) + "=" + std::string(value) +
                   ": parameters are separated by blanks, not by commas");
  }
  constexpr std::string_view kUnits = "KMGTPEkmgtpe";
  if (kUnits.find(suffix.front()) == std::string_view::npos) return {};
  const std::string_view more = suffix.substr(1);
  if (more != "B" && more != "iB" && more != "b" && more != "ib") return {};
  const std::string written = std::string(name) + "=";
  return invalid(written + std::string(value) + ": the suffix is one letter, as in " + written +
                 std::string(value.substr(0, digits + 1)));
}

Status check_option_names(std::string_view value) {
  for (size_t comma = value.find(','); comma != std::string_view::npos;) {
    const size_t begin = comma + 1;
    comma = value.find(',', begin);
    const std::string_view option = value.substr(begin, comma - begin);
    const std::string_view name = option.substr(0, option.find('='));
    if (!find_parameter(name) || name == "mlock") continue;
    return invalid("allocator=" + std::string(value) + ": " + std::string(name) +
                   " is a parameter of its own; put a blank before it instead of the comma");
  }
  return {};
}

}  // namespace ramdisk
