// Writes the inputs that fuzzing begins from, a file each, into a directory.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/fuzz/town.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: frames-corpus DIRECTORY\n");
    return 2;
  }
  const std::filesystem::path directory(argv[1]);
  std::filesystem::create_directories(directory);
  size_t number = 0;
  for (const auto& script : portcullis::fuzz::conversations()) {
    const auto input = portcullis::fuzz::encode(script);
    std::ofstream file(directory / ("conversation-" + std::to_string(number++)), std::ios::binary);
    file.write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
    if (!file) {
      std::fprintf(stderr, "frames-corpus: cannot write to %s\n", argv[1]);
      return 1;
    }
  }
  std::printf("%zu inputs\n", number);
  return 0;
}
