/// measure TIMES COMMAND...: runs the command TIMES times, and prints the least processor time of a run (seconds, user
/// and system, its children included) and the memory of its largest process (KiB).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    double least = 1e9;
    long memory = 0;
    for (int run = 0; run < std::atoi(argv[1]); ++run) {
        const pid_t child = fork();
        if (child == 0) {
            execvp(argv[2], argv + 2);
            _exit(127);
        }
        int status = 0;
        rusage used{};
        if (child < 0 || wait4(child, &status, 0, &used) < 0 || status != 0) return 1;
        const auto seconds = [](const timeval& t) {
            return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
        };
        least = std::min(least, seconds(used.ru_utime) + seconds(used.ru_stime));
        memory = std::max(memory, used.ru_maxrss);
    }
    std::printf("%.2f;%ld", least, memory);
}
