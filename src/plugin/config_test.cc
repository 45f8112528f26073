// The parameters: a table of mistakes, each with the one message that it gets, word for word.

#include "plugin/config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "disk/registry.h"

namespace ramdisk {
namespace {

// Says that nbdkit itself has printed a message about a size.
const char* const kNbdkit = "(nbdkit)";

// As nbdkit does: a word that is not NAME=VALUE is the value of size.
Status set(Config& config, const std::string& word) {
  const size_t equals = word.find('=');
  const auto in_name = [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.';
  };
  const bool named = equals != std::string::npos && equals > 0 &&
                     std::isalpha(static_cast<unsigned char>(word.front())) &&
                     std::all_of(word.begin(), word.begin() + static_cast<long>(equals), in_name);
  return named ? config.set(word.substr(0, equals).c_str(), word.substr(equals + 1).c_str())
               : config.set("size", word.c_str());
}

// Returns the message with which these parameters are refused; empty if they are not.
std::string refusal(const std::vector<std::string>& words) {
  Config config;
  for (const std::string& word : words) {
    if (const Status status = set(config, word); !status.ok()) {
      EXPECT_EQ(status.errnum(), EINVAL);
      return *status.message() ? status.message() : kNbdkit;
    }
  }
  const Status status = config.complete();
  return status.ok() ? "" : status.message();
}

struct Mistake {
  std::vector<std::string> words;
  std::string message;
};

const std::string kParameters =
    " (known parameters: size, load, save, image, exports, exports-max, scratch, allocator, mlock, "
    "max-memory, dump, stats-export, stats-file, stats-format)";
const std::string kAllocators = " (known: sparse, malloc, zstd)";
const std::string kZstdOptions =
    " (known options: mlock=true|false, level=N, cache=SIZE, recompress=true|false)";
const std::string kOptions = " (known options: mlock=true|false)";
const std::string kBytes = ": must be a number of bytes, or one with a suffix K, M, G, T, P or E";
const std::string kNoBlanks = ": there may be no blanks in it";
const std::string kLimit = ": must be a size, 1% to 100% of all memory, or none";
const std::string kWord = " is no size; parameters are NAME=VALUE";
const std::string kOneLetter = ": the suffix is one letter, as in ";
const std::string kLargest = ": the largest size is 9223372036854775807 bytes, one less than 8E";
const std::string kCommas = ": exports are separated by commas, as in exports=mail:20G,web:5G";
const std::string kWhole = ": must be a whole number";
const std::string kMissing = "you must specify size=<SIZE>";
const std::string kOption = ": it is an option of the allocator, as in ";

void expect_refusals(const std::vector<Mistake>& mistakes) {
  for (const Mistake& mistake : mistakes) {
    std::string words;
    for (const std::string& word : mistake.words) words += "'" + word + "' ";
    EXPECT_EQ(refusal(mistake.words), mistake.message) << words;
  }
}

TEST(ConfigMistakes, NamesOfParameters) {
  expect_refusals({
      {{"1", "foo=1"}, "unknown parameter 'foo'" + kParameters},
      {{"1", "mlok=true"}, "unknown parameter 'mlok', did you mean mlock?" + kParameters},
      {{"1", "MLOCK=true"}, "unknown parameter 'MLOCK', did you mean mlock?" + kParameters},
      {{"sise=1G"}, "unknown parameter 'sise', did you mean size?" + kParameters},
      {{"1", "alocator=zstd"},
       "unknown parameter 'alocator', did you mean allocator?" + kParameters},
      {{"1", "maxmemory=4G"},
       "unknown parameter 'maxmemory', did you mean max-memory?" + kParameters},
      {{"1", "max_memory=4G"},
       "unknown parameter 'max_memory', did you mean max-memory?" + kParameters},
      {{"1", "memory=4G"}, "unknown parameter 'memory', did you mean max-memory?" + kParameters},
      {{"1", "stats-flie=x"},
       "unknown parameter 'stats-flie', did you mean stats-file?" + kParameters},
      {{"1", "stats=x"}, "unknown parameter 'stats'" + kParameters},
      {{"1", "format=json"},
       "unknown parameter 'format', did you mean stats-format?" + kParameters},
      {{"1", "lod=x"}, "unknown parameter 'lod', did you mean load?" + kParameters},
      {{"1", "img=x"}, "unknown parameter 'img', did you mean image?" + kParameters},
      {{"1", "dumb=true"}, "unknown parameter 'dumb', did you mean dump?" + kParameters},
  });
}

TEST(ConfigMistakes, NamesThatOthersUse) {
  const auto other = [](const std::string& name, const std::string& meant) {
    return "unknown parameter '" + name + "', did you mean " + meant + "?" + kParameters;
  };
  expect_refusals({
      {{"file=disk.img"}, other("file", "load")},
      {{"1", "source=disk.img"}, other("source", "load")},
      {{"1", "preload=disk.img"}, other("preload", "load")},
      {{"1", "name=disk"}, other("name", "exports")},
      {{"disk=5G"}, other("disk", "size")},
      {{"disk=disk.img"}, other("disk", "load")},
      {{"1", "compression-level=9"}, other("compression-level", "allocator=zstd,level=9")},
      {{"1", "limit=4G"}, other("limit", "max-memory")},
      {{"1", "maxmem=4G"}, other("maxmem", "max-memory")},
      {{"1", "output=disk.img"}, other("output", "save")},
      {{"1", "persist=disk.img"}, other("persist", "image")},
      {{"1", "type=zstd"}, other("type", "allocator")},
      {{"1", "compress=true"}, other("compress", "allocator=zstd")},
      {{"1", "compression=zstd"}, other("compression", "allocator=zstd")},
      {{"1", "threads=4"}, "unknown parameter 'threads': it is an option of nbdkit, --threads=N"},
      {{"1", "readonly=true"},
       "unknown parameter 'readonly': it is an option of nbdkit, --readonly"},
      {{"1", "port=10810"}, "unknown parameter 'port': it is an option of nbdkit, --port=PORT"},
  });
}

TEST(ConfigMistakes, OptionsOfTheAllocatorAsParameters) {
  expect_refusals({
      {{"1", "level=9"}, "unknown parameter 'level'" + kOption + "allocator=zstd,level=9"},
      {{"1", "allocator=zstd", "level=9"},
       "unknown parameter 'level'" + kOption + "allocator=zstd,level=9"},
      {{"1", "cache=10M"}, "unknown parameter 'cache'" + kOption + "allocator=zstd,cache=10M"},
      {{"1", "recompress=false"},
       "unknown parameter 'recompress'" + kOption + "allocator=zstd,recompress=false"},
      {{"1", "levle=9"},
       "unknown parameter 'levle', did you mean allocator=zstd,level=9?" + kParameters},
      {{"1", "recompres=no"},
       "unknown parameter 'recompres', did you mean allocator=zstd,recompress=no?" + kParameters},
      {{"1", "zstd=9"}, "unknown parameter 'zstd': it is an allocator, as in allocator=zstd"},
  });
}

TEST(ConfigMistakes, WordsAlone) {
  expect_refusals({
      {{"1", "mlock"}, "'mlock'" + kWord + ", as in mlock=true"},
      {{"mlock"}, "'mlock'" + kWord + ", as in mlock=true"},
      {{"1", "mlok"}, "'mlok'" + kWord + ", as in mlock=true"},
      {{"1", "zstd"}, "'zstd'" + kWord + ", as in allocator=zstd"},
      {{"zstd"}, "'zstd'" + kWord + ", as in allocator=zstd"},
      {{"1", "zstd,mlock"}, "'zstd,mlock'" + kWord + ", as in allocator=zstd,mlock"},
      {{"1", "spares"}, "'spares'" + kWord + ", as in allocator=sparse"},
      {{"1", "level"}, "'level'" + kWord + ", as in allocator=zstd,level=9"},
      {{"1", "max-memory"}, "'max-memory'" + kWord + ", as in max-memory=4G"},
      {{"disk.img"}, "'disk.img'" + kWord + ", as in load=disk.img"},
      {{"1", "./disk"}, "'./disk'" + kWord + ", as in load=./disk"},
      {{"1", "=3"}, "'=3'" + kWord},
      {{"1", "foo"}, "'foo'" + kWord},
      {{"1", "allocator:zstd"}, "'allocator:zstd'" + kWord + ", as in allocator=zstd"},
      {{"1", "mlock:"}, "'mlock:'" + kWord + ", as in mlock=true"},
      {{"1", "readonly"}, "'readonly' is an option of nbdkit, --readonly"},
      {{"foo"}, "size=foo" + kBytes},
      {{"1", "2x"}, "size=2x" + kBytes},
  });
}

TEST(ConfigMistakes, Sizes) {
  expect_refusals({
      {{}, kMissing + ", or load=<FILE> or image=<FILE>, or sizes in exports=<NAME>:<SIZE>,..."},
      {{"save=x"},
       kMissing + ", or load=<FILE> or image=<FILE>, or sizes in exports=<NAME>:<SIZE>,..."},
      {{"size="}, "size=: the size is missing, as in size=1G"},
      {{"1", ""}, "size=: the size is missing, as in size=1G"},
      {{"1G allocator=zstd"}, "size=1G allocator=zstd" + kNoBlanks},
      {{"1", "max-memory=50 "}, "max-memory=50 " + kNoBlanks},
      {{"size=1GB"}, "size=1GB" + kOneLetter + "size=1G"},
      {{"1GiB"}, "size=1GiB" + kOneLetter + "size=1G"},
      {{"12mb"}, "size=12mb" + kOneLetter + "size=12m"},
      {{"1Gx"}, "size=1Gx" + kBytes},
      {{"1Z"}, "size=1Z" + kBytes},
      {{"1e9"}, "size=1e9" + kBytes},
      {{"-5"}, kNbdkit},
      {{"8b"}, kNbdkit},
      {{" +7k"}, kNbdkit},
      {{"1", "max-memory=5Z"}, "max-memory=5Z" + kBytes},
      {{"1G,zstd"}, "size=1G,zstd: parameters are separated by blanks, not by commas"},
      {{"size=5,allocator=zstd"},
       "size=5,allocator=zstd: parameters are separated by blanks, not by commas"},
      {{"1", "max-memory=4G,dump=true"},
       "max-memory=4G,dump=true: parameters are separated by blanks, not by commas"},
      {{"1,5G"}, "size=1,5G" + kWhole + ", as in size=1536M"},
      {{"1.5G"}, "size=1.5G" + kWhole + ", as in size=1536M"},
      {{"1.44mb"}, "size=1.44mb" + kWhole + ", as in size=1474K"},
      {{"0.5K"}, "size=0.5K" + kWhole + ", as in size=512"},
      {{".5G"}, "size=.5G" + kWhole + ", as in size=512M"},
      {{"2.1e+9"}, "size=2.1e+9" + kWhole},
      {{"10,000,000"}, "size=10,000,000" + kWhole},
      {{"0.12345678901234567890G"}, "size=0.12345678901234567890G" + kWhole},
      {{"1", "max-memory=1.5G"}, "max-memory=1.5G" + kWhole + ", as in max-memory=1536M"},
      {{"1G.5"}, "size=1G.5" + kBytes},
      {{"8E"}, "size=8E" + kLargest},
      {{"8388608t"}, "size=8388608t" + kLargest},
      {{"9223372036854775808"}, "size=9223372036854775808" + kLargest},
      {{"99999999999999999999"}, "size=99999999999999999999" + kLargest},
      {{"9223372036854775807"}, ""},
      {{"1", "max-memory=9999P"}, "max-memory=9999P" + kLargest},
      {{"1G,"}, "size=1G,: parameters are separated by blanks, not by commas"},
      {{"1", "max-memory=4GB"}, "max-memory=4GB" + kOneLetter + "max-memory=4G"},
      {{"1", "max-memory=lots"}, "max-memory=lots" + kLimit},
      {{"1", "max-memory="}, "max-memory=" + kLimit},
      {{"1", "max-memory=-1"}, "max-memory=-1" + kLimit},
      {{"1", "max-memory=0%"}, "max-memory=0%" + kLimit},
      {{"1", "max-memory=101%"}, "max-memory=101%" + kLimit},
      {{"1", "max-memory=0"},
       "max-memory=0: leaves no memory at all (max-memory=none is no limit)"},
  });
}

TEST(ConfigMistakes, Allocators) {
  expect_refusals({
      {{"1", "allocator="}, "allocator=: the name of the allocator is missing" + kAllocators},
      {{"1", "allocator=,mlock"},
       "allocator=,mlock: the name of the allocator is missing" + kAllocators},
      {{"1", "allocator=foo"}, "allocator=foo: unknown allocator \"foo\"" + kAllocators},
      {{"1", "allocator=zst"},
       "allocator=zst: unknown allocator \"zst\", did you mean zstd?" + kAllocators},
      {{"1", "allocator=s"},
       "allocator=s: unknown allocator \"s\", did you mean sparse?" + kAllocators},
      {{"1", "allocator=Sparse"},
       "allocator=Sparse: unknown allocator \"Sparse\", did you mean sparse?" + kAllocators},
      {{"1", "allocator=zstd9"},
       "allocator=zstd9: unknown allocator \"zstd9\", did you mean allocator=zstd,level=9?" +
           kAllocators},
      {{"1", "allocator=zstd:9"},
       "allocator=zstd:9: unknown allocator \"zstd:9\", did you mean allocator=zstd,level=9?" +
           kAllocators},
      {{"1", "allocator=sparse9"},
       "allocator=sparse9: unknown allocator \"sparse9\", did you mean sparse?" + kAllocators},
      {{"1", "allocator=zstd:cache=1M"},
       "allocator=zstd:cache=1M: unknown allocator \"zstd:cache=1M\", did you mean "
       "allocator=zstd,cache=1M?" +
           kAllocators},
  });
}

TEST(ConfigMistakes, OptionsOfAllocators) {
  expect_refusals({
      {{"1", "allocator=zstd,"},
       "allocator=zstd,: there is no option after the last comma, which no blank may follow"},
      {{"1", "allocator=zstd,,cache=1M"},
       "allocator=zstd,,cache=1M: there is no option between two commas"},
      {{"1", "allocator=zstd,=3"}, "allocator=zstd,=3: there is no option before an equals sign"},
      {{"1", "allocator=zstd, cache=1M"},
       "allocator=zstd, cache=1M" + kNoBlanks + "; did you mean allocator=zstd,cache=1M?"},
      {{"1", "allocator=zstd cache = 1M "},
       "allocator=zstd cache = 1M " + kNoBlanks + "; did you mean allocator=zstd,cache=1M?"},
      {{"1", "allocator=foo bar"}, "allocator=foo bar" + kNoBlanks},
      {{"1", "allocator=zstd,leve=3"},
       "allocator=zstd: unknown option \"leve\", did you mean level?" + kZstdOptions},
      {{"1", "allocator=zstd,foo=3"}, "allocator=zstd: unknown option \"foo\"" + kZstdOptions},
      {{"1", "allocator=zstd,9"},
       "allocator=zstd: unknown option \"9\", did you mean level=9?" + kZstdOptions},
      {{"1", "allocator=zstd,no-recompress"},
       "allocator=zstd: unknown option \"no-recompress\", did you mean recompress=false?" +
           kZstdOptions},
      {{"1", "allocator=sparse,nomlock"},
       "allocator=sparse: unknown option \"nomlock\", did you mean mlock=false?" + kOptions},
      {{"1", "allocator=sparse,9"}, "allocator=sparse: unknown option \"9\"" + kOptions},
      {{"1", "allocator=malloc,mloc=true"},
       "allocator=malloc: unknown option \"mloc\", did you mean mlock?" + kOptions},
      {{"1", "allocator=sparse,level=3"},
       "allocator=sparse: level is an option of allocator=zstd (options here: mlock=true|false)"},
      {{"1", "allocator=zstd,max-memory=4G"},
       "allocator=zstd,max-memory=4G: max-memory is a parameter of its own; put a blank before it "
       "instead of the comma"},
  });
}

TEST(ConfigMistakes, Values) {
  expect_refusals({
      {{"1", "mlock=maybe"}, "mlock=maybe: must be true or false"},
      {{"1", "mlock="}, "mlock=: must be true or false"},
      {{"1", "dump=tru"}, "dump=tru: must be true or false"},
      {{"1", "allocator=malloc,mlock=2"}, "allocator=malloc: mlock=2: must be true or false"},
      {{"1", "allocator=zstd,recompress=5"}, "allocator=zstd: recompress=5: must be true or false"},
      {{"1", "allocator=zstd,cache"}, "allocator=zstd: cache=true" + kBytes},
      {{"1", "allocator=zstd,cache=64MB"}, "allocator=zstd: cache=64MB" + kBytes},
      {{"1", "stats-export="}, "stats-export=: the name of the export is missing"},
      {{"load="}, "load=: the path of the file is missing"},
      {{"1", "image=a", "save=b"},
       "image=<FILE> is load=<FILE> and save=<FILE> in one, so neither of them can be given beside "
       "it"},
      {{"1", "stats-file="}, "stats-file=: the path of the file is missing"},
      {{"1", "stats-export=s", "stats-format=xml"}, "stats-format=xml: must be json or prometheus"},
      {{"1", "stats-format=json"},
       "stats-format= is of use only with stats-export=<NAME> or stats-file=<PATH>"},
  });
#ifdef RAMDISK_HAVE_ZSTD
  const ZstdSupport zstd = zstd_support().value();
  const std::string range = ": must be a number from " + std::to_string(zstd.least_level) + " to " +
                            std::to_string(zstd.most_level);
  for (const std::string value : {"99", "fast", "", "3.5"}) {
    EXPECT_EQ(refusal({"1", "allocator=zstd,level=" + value}),
              "allocator=zstd: level=" + value + range);
  }
  EXPECT_EQ(refusal({"1", "allocator=zstd99"}),  // which is no level
            "allocator=zstd99: unknown allocator \"zstd99\", did you mean zstd?" + kAllocators);
#endif
}

TEST(ConfigMistakes, StatisticsInTheFileOfAnImage) {
  const auto refused = [](const std::string& value, const std::string& key) {
    return "stats-file=" + value + ": this is also the file of " + key +
           "=, and the statistics would take its place";
  };
  expect_refusals({
      {{"load=a", "stats-file=a"}, refused("a", "load")},
      {{"1", "save=a", "stats-file=./b/../a"}, refused("./b/../a", "save")},
      {{"1", "stats-file=/here/a", "image=a"}, refused("/here/a", "image")},
      {{"1", "exports=a,b", "image=%s.img", "stats-file=b.img"}, refused("b.img", "image")},
      {{"1", "image=a", "stats-file=a.json"}, ""},
      {{"1", "exports=a,b", "image=%s.img", "stats-file=%s.img"}, ""},
  });
}

TEST(ConfigMistakes, Exports) {
  const std::string twice =
      "save=d.img: each export needs a file of its own; %s in the name of the "
      "file stands for the name of the export";
  expect_refusals({
      {{"1", "exports="}, "exports=: the names are missing, as in exports=a,b"},
      {{"1", "exports=a,"}, "exports=a,: there is an export without a name"},
      {{"1", "exports=a,:5"}, "exports=a,:5: there is an export without a name"},
      {{"exports=a:1, b:1"},
       "exports=a:1, b:1: no blank may stand before a name, because it would be part of it"},
      {{"1", "exports=a,b,a:5"}, "exports=a,b,a:5: two exports have the name 'a'"},
      {{"1", "exports=a,*"}, "exports=a,*: '*' stands for all names, and so stands alone"},
      {{"1", "exports=" + std::string(4097, 'x')},
       "exports=: a name has 4097 bytes, more than the 4096 that NBD allows"},
      {{"exports=a:5,b"},
       "exports=: 'b' has no size: write it behind a colon, as in b:1G, or give size=<SIZE> for "
       "all"},
      {{"exports=b,a:5GB", "1"}, "exports=a:5GB" + kOneLetter + "exports=a:5G"},
      {{"exports=a:8E"}, "exports=a:8E" + kLargest},
      {{"exports=a:1.5G"}, "exports=a:1.5G" + kWhole + ", as in exports=a:1536M"},
      {{"exports=a:5x"}, "exports=a:5x" + kBytes},
      {{"exports=a=5M,b"},
       "exports=: 'a=5M' has no size: write it behind a colon, as in a:5M, or give size=<SIZE> for "
       "all"},
      {{"exports=a:5,b:"},
       "exports=: 'b:' has no size: write it behind a colon, as in b:1G, or give size=<SIZE> for "
       "all"},
      {{"exports=a:20G b:5G"}, "exports=a:20G b:5G" + kCommas},
      {{"exports=a:20G\nb:5G"}, "exports=a:20G\nb:5G" + kCommas},
      {{"exports=a b:1,vm:7:1"}, ""},
      {{"exports=*"}, kMissing + " with exports=*; each disk then has this size"},
      {{"1", "exports=*", "exports-max=0"}, "exports-max=0: must be a number from 1 to 1000000"},
      {{"1", "exports=*", "exports-max=1K"}, "exports-max=1K: must be a number from 1 to 1000000"},
      {{"1", "exports=a", "exports-max=5"}, "exports-max=<N> is of use only with exports=*"},
      {{"1", "exports-max=5"}, "exports-max=<N> is of use only with exports=*"},
      {{"1", "exports=a,b", "save=d.img"}, twice},
      {{"1", "exports=a,b", "save=d%%s.img"}, "save=d%%s.img" + twice.substr(twice.find(':'))},
      {{"1", "exports=a", "load=5%.img"},
       "load=5%.img: with exports=, %s is the name of the export and %% a percent sign; '%.' is "
       "nothing"},
      {{"1", "exports=a", "load=5%"},
       "load=5%: with exports=, %s is the name of the export and %% a percent sign; '%' is "
       "nothing"},
      {{"1", "exports=a,b/c", "image=%s.img"},
       "image=%s.img: the export 'b/c' has a slash in its name, and so cannot name a file"},
      {{"1", "exports=*", "image=%s.img"},
       "exports=*: clients choose the names of the disks, so none of load=<FILE>, save=<FILE> and "
       "image=<FILE> can be given beside it"},
      {{"1", "exports=a,s", "stats-export=s"},
       "stats-export=s: a disk has this name, so the statistics need another"},
      {{"1", "export=a"}, "unknown parameter 'export', did you mean exports?" + kParameters},
  });
}

TEST(ConfigMistakes, Scratch) {
  const std::string save =
      "scratch=true: each disk ends with its connection, so neither save=<FILE> nor image=<FILE> "
      "can be given beside it";
  expect_refusals({
      {{"1", "scratch=maybe"}, "scratch=maybe: must be true or false"},
      {{"scratch=true"}, kMissing + " or load=<FILE> with scratch=true"},
      {{"1", "scratch"}, "'scratch'" + kWord + ", as in scratch=true"},
      {{"1", "scratch=true", "save=x"}, save},
      {{"1", "scratch=true", "image=x"}, save},
      {{"scratch=true", "load=x", "allocator=malloc"},
       "scratch=true with load=<FILE>: allocator=malloc takes the memory of a whole disk for each "
       "connection and so cannot make clones; sparse and zstd can"},
      {{"1", "scratch=true", "exports=a"},
       "scratch=true gives each connection a disk of its own, whatever name it opens, so exports= "
       "cannot be given beside it"},
      {{"1", "scratch=false", "exports=a", "save=x"}, ""},
  });
}

}  // namespace
}  // namespace ramdisk
