// adbd asks for Android's system properties; away from Android they live in a map of its own process.
// Fill that map from the file named by RIG_PROPERTIES, lines of key=value, before main() reads it.
#include <cstdlib>
#include <fstream>
#include <string>

#include <android-base/properties.h>

namespace {

struct Fill {
    Fill() {
        const char* name = std::getenv("RIG_PROPERTIES");
        if (name == nullptr) return;
        std::ifstream file(name);
        for (std::string line; std::getline(file, line);) {
            const auto sign = line.find('=');
            if (sign != std::string::npos) {
                android::base::SetProperty(line.substr(0, sign), line.substr(sign + 1));
            }
        }
    }
} fill;

}  // namespace
