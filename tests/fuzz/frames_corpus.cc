// Conversations with the town.
#include "tests/fuzz/corpus.h"
#include "tests/fuzz/town.h"

int main(int argc, char** argv) {
  std::vector<std::string> inputs;
  for (const auto& script : portcullis::fuzz::conversations()) {
    const auto input = portcullis::fuzz::encode(script);
    inputs.emplace_back(input.begin(), input.end());
  }
  return portcullis::fuzz::write_corpus(argc, argv, inputs);
}
