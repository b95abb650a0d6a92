// The seeds and the example configurations.
#include <iterator>

#include "tests/fuzz/config_seeds.h"
#include "tests/fuzz/corpus.h"

int main(int argc, char** argv) {
  std::vector<std::string> inputs{portcullis::fuzz::least, portcullis::fuzz::most};
  for (const char* name : {"lab", "appliance"}) {
    std::ifstream file(std::string(EXAMPLES "/") + name + ".txtpb");
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return portcullis::fuzz::write_corpus(argc, argv, inputs);
}
