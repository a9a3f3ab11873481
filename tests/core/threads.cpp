#include <bespoke/core/threads.hpp>

#include "../sanitized.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <exception>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#ifdef __linux__
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

using bespoke::extent;
using bespoke::parallel_for;
using bespoke::thread_pool;

TEST_CASE("a pool runs its task once for each index, round after round") {
    const std::size_t threads = GENERATE(1u, 2u, 5u);
    thread_pool pool(threads);
    REQUIRE(pool.size() == threads);
    std::vector<int> rounds(threads);
    for (int round = 1; round <= 2000; ++round) {
        pool.run([](void* context, std::size_t i) { ++(*static_cast<std::vector<int>*>(context))[i]; }, &rounds);
        for (int count : rounds) REQUIRE(count == round);
    }
}

TEST_CASE("workers that fell asleep, or are about to, are woken") {
    thread_pool pool(3);
    std::vector<int> rounds(3);
    for (int round = 1; round <= 400; ++round) {
        std::this_thread::sleep_for(std::chrono::microseconds(round));
        pool.run([](void* context, std::size_t i) { ++(*static_cast<std::vector<int>*>(context))[i]; }, &rounds);
        for (int count : rounds) REQUIRE(count == round);
    }
}

TEST_CASE("each index has a thread of its own, the first is the caller's") {
    thread_pool pool(3);
    std::vector<std::thread::id> ids(3);
    pool.run([](void* context, std::size_t i) {
        (*static_cast<std::vector<std::thread::id>*>(context))[i] = std::this_thread::get_id();
    }, &ids);
    CHECK(ids[0] == std::this_thread::get_id());
    CHECK(ids[1] != ids[0]);
    CHECK(ids[2] != ids[0]);
    CHECK(ids[1] != ids[2]);
}

TEST_CASE("a pool may end idle, right after its birth and right after work") {
    for (int i = 0; i < 200; ++i) {
        thread_pool idle(3);
        thread_pool busy(3);
        int sum = 0;
        busy.run([](void* context, std::size_t index) {
            if (index == 2) *static_cast<int*>(context) = 7;
        }, &sum);
        REQUIRE(sum == 7);
    }
}

// The sanitizers want more address space than that.
#if defined(__linux__) && !defined(BESPOKE_SANITIZED)
TEST_CASE("more threads than the system gives are an error, and those that began have ended") {
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlimit few = before;  // room for some stacks
    few.rlim_cur = pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) + (std::size_t{64} << 20);
    REQUIRE(setrlimit(RLIMIT_AS, &few) == 0);
    std::string what;
    try {
        thread_pool pool(100'000);
    } catch (const bespoke::error& e) {
        what = e.what();
        CHECK(e.code() == bespoke::errc::bad_argument);
    }
    REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
    const std::string start = "100000 threads wanted, the system gives ";
    REQUIRE(what.substr(0, start.size()) == start);
    CHECK(std::stoul(what.substr(start.size())) > 1);
    CHECK(std::stoul(what.substr(start.size())) < 100'000);
    thread_pool pool(2);
    int sum = 0;
    pool.run([](void* context, std::size_t i) { if (i == 1) *static_cast<int*>(context) = 7; }, &sum);
    CHECK(sum == 7);
}
#endif

TEST_CASE("parallel_for covers every index once, in ranges that begin at multiples of the grain") {
    const std::size_t threads = GENERATE(0u, 1u, 2u, 5u);
    const extent grain = GENERATE(1, 4, 16);
    thread_pool pool(std::max<std::size_t>(threads, 1));
    for (extent count : {0, 1, 3, 4, 5, 15, 16, 17, 79, 80, 81, 1000}) {
        std::vector<int> visits(static_cast<std::size_t>(count));
        std::atomic<int> ranges = 0;
        std::atomic<bool> aligned = true, sensible = true;
        parallel_for(threads == 0 ? nullptr : &pool, count, grain, [&](extent begin, extent end) {
            ++ranges;
            if (begin % grain != 0) aligned = false;
            if (begin >= end || begin < 0 || end > count) sensible = false;
            for (extent i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
        });
        INFO(count << " in grains of " << grain << ", " << threads << " threads");
        CHECK(aligned);
        CHECK(sensible);
        CHECK(std::all_of(visits.begin(), visits.end(), [](int v) { return v == 1; }));
        const extent pieces = (count + grain - 1) / grain;
        CHECK(ranges == std::min<extent>(pieces, static_cast<extent>(std::max<std::size_t>(threads, 1))));
    }
}

#ifdef __linux__
TEST_CASE("a body that throws ends the program, on any number of threads") {
    const std::size_t threads = GENERATE(1u, 3u);
    const pid_t child = fork();
    if (child == 0) {
        std::set_terminate([] { _exit(3); });
        try {
            thread_pool pool(threads);
            parallel_for(&pool, 3, 1, [](extent begin, extent) {
                if (begin == 0) throw 1;
            });
        } catch (int) {
        }
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 3);
}
#endif

TEST_CASE("ranges differ by one grain at most") {
    thread_pool pool(5);
    std::mutex lock;
    std::vector<extent> sizes;
    parallel_for(&pool, 128, 8, [&](extent begin, extent end) {
        const std::lock_guard hold(lock);
        sizes.push_back(end - begin);
    });
    REQUIRE(sizes.size() == 5);
    const auto [least, most] = std::minmax_element(sizes.begin(), sizes.end());
    CHECK(*most - *least <= 8);
    CHECK(std::accumulate(sizes.begin(), sizes.end(), extent{0}) == 128);
}
