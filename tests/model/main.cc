#include <gtest/gtest.h>

#include "tests/support/eal.h"

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  portcullis::testing::start_eal();
  return RUN_ALL_TESTS();
}
