#pragma once

#include "peers.hpp"

#include <chrono>
#include <fcntl.h>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace bespoke::benchmarks {

/// A process that is spoken to through its input and output. It ends with this object: its input is closed then.
class child {
public:
    explicit child(const std::vector<std::string>& command) {
        int in[2], out[2];
        if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, in[0], 0);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        std::vector<char*> arguments;
        for (const std::string& a : command) arguments.push_back(const_cast<char*>(a.c_str()));
        arguments.push_back(nullptr);
        const int problem = posix_spawnp(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
        posix_spawn_file_actions_destroy(&actions);
        close(in[0]);
        close(out[1]);
        to_ = fdopen(in[1], "w");
        from_ = fdopen(out[0], "r");
        if (problem != 0) pid_ = 0;
    }
    child(const child&) = delete;
    child& operator=(const child&) = delete;
    ~child() {
        std::fclose(to_);
        std::fclose(from_);
        if (pid_ > 0) waitpid(pid_, nullptr, 0);
    }

    void say(const std::string& text) {
        std::fputs(text.c_str(), to_);
        std::fflush(to_);
    }
    /// The next line, without its end; empty where the process has ended.
    std::string line() {
        std::string text;
        for (int c = std::fgetc(from_); c != EOF && c != '\n'; c = std::fgetc(from_))
            text.push_back(static_cast<char>(c));
        return text;
    }
    /// A line with a count, and so many numbers in binary.
    void numbers(std::vector<float>& into) {
        into.resize(static_cast<std::size_t>(std::atoll(line().c_str())));
        if (std::fread(into.data(), sizeof(float), into.size(), from_) != into.size()) into.clear();
    }

private:
    pid_t pid_ = 0;
    std::FILE *to_ = nullptr, *from_ = nullptr;
};

/// Vanishes with what is in it.
struct temporary_folder {
    std::filesystem::path path;

    explicit temporary_folder(const std::string& name)
        : path(std::filesystem::temp_directory_path() /
               ("bespoke_bench_" + std::to_string(getpid()) + "_" + name + "_" + std::to_string(count++))) {
        std::filesystem::create_directories(path);
    }
    temporary_folder(const temporary_folder&) = delete;
    temporary_folder& operator=(const temporary_folder&) = delete;
    ~temporary_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }

private:
    static inline int count = 0;
};

/// Every call is a process, from its start until it has given its first result.
inline contestant first_results(std::vector<std::string> command, std::shared_ptr<temporary_folder> folder) {
    return {[command, folder, results = std::vector<float>()]() mutable -> std::span<const float> {
                child(command).numbers(results);
                return results;
            },
            [command, folder](int calls) {
                double seconds = 0;
                std::vector<float> results;
                for (int i = 0; i < calls; ++i) {
                    const auto begin = std::chrono::steady_clock::now();
                    child process(command);
                    process.numbers(results);
                    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
                }
                return seconds;
            }};
}

}  // namespace bespoke::benchmarks
