#include <bespoke/model/files.hpp>

#include "failure.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>

#ifndef _WIN32
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace bespoke;
namespace fs = std::filesystem;
using check::failure;

namespace {

/// An empty folder that goes with the test.
class folder {
public:
    folder() {
        const auto base = fs::temp_directory_path();
        for (int i = 0; path.empty(); ++i) {
            const auto name = base / ("bespoke_test_files_" + std::to_string(i));
            if (fs::create_directory(name)) path = fs::canonical(name);
        }
    }
    folder(const folder&) = delete;
    folder& operator=(const folder&) = delete;
    ~folder() {
        std::error_code ignored;
        fs::permissions(path, fs::perms::owner_all, ignored);
        fs::remove_all(path, ignored);
    }
    std::vector<std::string> names() const {
        std::vector<std::string> result;
        for (const auto& entry : fs::directory_iterator(path))
            result.push_back(entry.path().filename().string());
        std::sort(result.begin(), result.end());
        return result;
    }
    fs::path path;
};

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string text_of(const fs::path& path) {
    const auto bytes = read_file(path);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

using names = std::vector<std::string>;

}  // namespace

TEST_CASE("files: what is written is read") {
    folder f;
    std::string text(100'000, '\0');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7);
    for (std::size_t size : {std::size_t{0}, std::size_t{1}, text.size()}) {
        write_file_atomically(f.path / "x", bytes_of(text).first(size));
        CHECK(text_of(f.path / "x") == text.substr(0, size));
        std::ifstream stream(f.path / "x", std::ios::binary);
        CHECK(std::string(std::istreambuf_iterator<char>(stream), {}) == text.substr(0, size));
    }
    CHECK(f.names() == names{"x"});
}

TEST_CASE("files: a path without a folder is in the current one") {
    folder f;
    const auto before = fs::current_path();
    fs::current_path(f.path);
    const failure none([] { write_file_atomically("x", bytes_of("1")); });
    fs::current_path(before);
    CHECK(none.text == "nothing is thrown");
    CHECK(text_of(f.path / "x") == "1");
}

TEST_CASE("files: several at once, and all or none") {
    folder f;
    write_files_atomically({{f.path / "weights", bytes_of("w")}, {f.path / "model", bytes_of("m")}});
    CHECK(text_of(f.path / "weights") == "w");
    CHECK(text_of(f.path / "model") == "m");

    const failure missing([&] {
        write_files_atomically(
            {{f.path / "weights", bytes_of("w2")}, {f.path / "none" / "model", bytes_of("m2")}});
    });
    CHECK(missing.is(errc::io));
    CHECK(missing.text == (f.path / "none" / "model").string() + ": cannot write: No such file or directory");
    CHECK(text_of(f.path / "weights") == "w");
    CHECK(f.names() == names{"model", "weights"});

    fs::create_directory(f.path / "folder");
    const failure is_folder([&] {
        write_files_atomically({{f.path / "weights", bytes_of("w2")}, {f.path / "folder", bytes_of("m2")}});
    });
    CHECK(is_folder.is(errc::io));
    CHECK(is_folder.text == (f.path / "folder").string() + ": cannot write: not a regular file");
    CHECK(text_of(f.path / "weights") == "w");
    CHECK(f.names() == names{"folder", "model", "weights"});
}

TEST_CASE("files: a mapped file shows the bytes that were there, also when another file takes its name") {
    folder f;
    write_file_atomically(f.path / "x", bytes_of("first"));
    write_file_atomically(f.path / "empty", {});
    const mapped_file first(f.path / "x");
    write_file_atomically(f.path / "x", bytes_of("second, longer"));
    const mapped_file second(f.path / "x"), copy = second;
    CHECK(std::ranges::equal(first.bytes(), bytes_of("first")));
    CHECK(std::ranges::equal(second.bytes(), bytes_of("second, longer")));
    CHECK(copy.bytes().data() == second.bytes().data());
    CHECK(mapped_file(f.path / "empty").bytes().empty());
    const failure missing([&] { mapped_file(f.path / "y"); });
    CHECK(missing.is(errc::io));
    CHECK(missing.text == (f.path / "y").string() + ": cannot read: No such file or directory");
    CHECK(failure([&] { mapped_file{f.path}; }).text == f.path.string() + ": cannot read: not a regular file");
}

TEST_CASE("files: what cannot be read") {
    folder f;
    const failure missing([&] { read_file(f.path / "x"); });
    CHECK(missing.is(errc::io));
    CHECK(missing.text == (f.path / "x").string() + ": cannot read: No such file or directory");
    const failure is_folder([&] { read_file(f.path); });
    CHECK(is_folder.is(errc::io));
    CHECK(is_folder.text == f.path.string() + ": cannot read: not a regular file");
    write_file_atomically(f.path / "x", bytes_of("1"));
    const failure below_a_file([&] { read_file(f.path / "x" / "y"); });
    CHECK(below_a_file.is(errc::io));
#ifndef _WIN32
    const failure device([] { read_file("/dev/zero"); });
    CHECK(device.text == "/dev/zero: cannot read: not a regular file");
#endif
}

#ifndef _WIN32
TEST_CASE("files: what a killed process left over does not stop the next") {
    folder f;
    for (int i = 0; i < 3; ++i)
        std::ofstream(f.path / ("x." + std::to_string(::getpid()) + "-" + std::to_string(i) + ".tmp"))
            << "left over";
    write_file_atomically(f.path / "x", bytes_of("new"));
    CHECK(text_of(f.path / "x") == "new");
    CHECK(f.names().size() == 4);
}

#ifdef O_TMPFILE
TEST_CASE("files: what a killed process has begun to write vanishes with it") {
    folder f;
    const int probe = ::open(f.path.c_str(), O_TMPFILE | O_WRONLY, 0600);
    if (probe < 0) return;  // not on this file system
    ::close(probe);
    write_file_atomically(f.path / "x", bytes_of("old"));
    const std::string text(1 << 20, 'x');
    const auto child = ::fork();
    if (child == 0) {
        const rlimit none{0, 0}, little{4096, 4096};
        ::setrlimit(RLIMIT_CORE, &none);
        ::setrlimit(RLIMIT_FSIZE, &little);
        ::signal(SIGXFSZ, SIG_DFL);  // which kills what writes more
        write_files_atomically({{f.path / "y", bytes_of("new")}, {f.path / "x", bytes_of(text)}});
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(text_of(f.path / "x") == "old");
    CHECK(f.names() == names{"x"});
}
#endif

TEST_CASE("files: permissions and links stay") {
    folder f;
    write_file_atomically(f.path / "x", bytes_of("1"));
    fs::permissions(f.path / "x", fs::perms::owner_read | fs::perms::owner_write);
    fs::create_symlink("x", f.path / "link");
    write_file_atomically(f.path / "link", bytes_of("2"));
    CHECK(fs::is_symlink(f.path / "link"));
    CHECK(text_of(f.path / "x") == "2");
    CHECK(fs::status(f.path / "x").permissions() == (fs::perms::owner_read | fs::perms::owner_write));
}

// Windows does not replace a file that is being read; saving then says so.
TEST_CASE("files: a reader sees the old content or the new, never a part") {
    folder f;
    const std::string a(50'000, 'a'), b(70'000, 'b');
    write_file_atomically(f.path / "x", bytes_of(a));
    std::thread writer([&] {
        for (int i = 0; i < 40; ++i) write_file_atomically(f.path / "x", bytes_of(i % 2 == 0 ? b : a));
    });
    int parts = 0;
    for (int i = 0; i < 200; ++i) {
        std::ifstream stream(f.path / "x", std::ios::binary);
        const std::string seen(std::istreambuf_iterator<char>(stream), {});
        parts += seen == a || seen == b ? 0 : 1;
    }
    writer.join();
    CHECK(parts == 0);
}

TEST_CASE("files: what is read or mapped has the size of its own file while others take its name") {
    folder f;
    const std::string a(100, 'a'), b(700'000, 'b');
    write_file_atomically(f.path / "x", bytes_of(a));
    std::atomic<bool> ended = false;
    std::thread writer([&] {
        for (int i = 0; i < 2000; ++i) {  // not write_file_atomically: to sync takes long
            std::ofstream(f.path / "next", std::ios::binary) << (i % 2 == 0 ? b : a);
            fs::rename(f.path / "next", f.path / "x");
        }
        ended = true;
    });
    int parts = 0;
    while (!ended) {
        const mapped_file mapped(f.path / "x");
        parts += std::ranges::equal(mapped.bytes(), bytes_of(mapped.bytes()[0] == std::byte{'a'} ? a : b)) ? 0 : 1;
        const std::string read = text_of(f.path / "x");
        parts += read == a || read == b ? 0 : 1;
    }
    writer.join();
    CHECK(parts == 0);
}
#endif
