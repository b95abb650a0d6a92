#include <gtest/gtest.h>
#include <sched.h>

#include "tests/support/eal.h"

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  // The EAL pins this thread, and with it those that tests start: readers and publisher would share one core.
  cpu_set_t cores;
  const bool known = sched_getaffinity(0, sizeof cores, &cores) == 0;
  portcullis::testing::start_eal();
  if (known) sched_setaffinity(0, sizeof cores, &cores);
  return RUN_ALL_TESTS();
}
