// mlock=true must lock the memory of the process that serves, however nbdkit is started.
//
// Locks do not survive a fork, and nbdkit forks after the plugin has taken its memory, unless it
// stays in the foreground. 4 MiB are within the usual limit on locked memory, so this needs no
// privilege.

#include "fixture.h"

namespace wire {
namespace {

void expect_locked(Mode mode, const Words& parameters) {
  const Server server(parameters, {}, mode);
  EXPECT_GE(server.status_kib("VmLck"), 4096);
  const Client client(server);
  const Bytes data = noise(1 * MiB, 1);
  client.write(data, 2 * MiB);
  EXPECT_TRUE(data == client.read(1 * MiB, 2 * MiB));
  client.trim(4 * MiB, 0);
  EXPECT_GE(server.status_kib("VmLck"), 4096) << "after a trim";
}

TEST(Mlock, Foreground) {
  expect_locked(Mode::foreground, {"4M", "allocator=malloc,mlock=true"});
}

TEST(Mlock, Background) {
  expect_locked(Mode::background, {"4M", "allocator=malloc,mlock=true"});
}

TEST(Mlock, Captive) {
  expect_locked(Mode::captive, {"4M", "allocator=malloc,mlock=true"});
}

TEST(Mlock, AsParameterOfItsOwn) {
  expect_locked(Mode::background, {"4M", "allocator=malloc", "mlock=true"});
}

TEST(Mlock, NotUnlessAskedFor) {
  for (const Words& parameters :
       {Words{"4M", "allocator=malloc"}, Words{"4M", "allocator=malloc,mlock=false"}}) {
    const Server server(parameters);
    EXPECT_EQ(0, server.status_kib("VmLck"));
  }
}

}  // namespace
}  // namespace wire
