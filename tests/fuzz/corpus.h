// Inputs that fuzzing begins from: a file each, in a directory.
#pragma once

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace portcullis::fuzz {

// The main function of a corpus program. The exit status.
inline int write_corpus(int argc, char** argv, const std::vector<std::string>& inputs) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  const std::filesystem::path directory(argv[1]);
  std::filesystem::create_directories(directory);
  size_t number = 0;
  for (const std::string& input : inputs) {
    std::ofstream file(directory / ("input-" + std::to_string(number++)), std::ios::binary);
    file << input;
    if (!file.flush()) {
      std::fprintf(stderr, "%s: cannot write to %s\n", argv[0], argv[1]);
      return 1;
    }
  }
  std::printf("%zu inputs\n", number);
  return 0;
}

}  // namespace portcullis::fuzz
