// What only two parts of a configuration together can get wrong. Private to the loader.
#pragma once

#include "config/config.pb.h"
#include "config/settings.h"
#include "config/text.h"

namespace portcullis::config {

// Of `config`, whose parts were checked one by one, and the settings made of it. Mistakes go to the text's.
void check_between_parts(const Config& config, const Settings& settings, Text& text);

}  // namespace portcullis::config
