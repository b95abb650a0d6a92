// Completion for shells: their scripts ask `portctl complete`, which reads the commands from the parser and
// the names of objects from the gateway.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace portcullis::portctl {

// `portctl completion bash|zsh` prints the script.
void add_completion(CLI::App& app);

// What may stand in the place of the last word, one a line: the word, a tab, a description. The line ":files"
// alone means names of files. `words` begins with the program's name.
[[nodiscard]] std::string complete(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace portcullis::portctl
