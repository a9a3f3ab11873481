#pragma once

#include "../core/error.hpp"

#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

namespace bespoke {

/// A file to be written: where, and what it shall hold.
struct file_content {
    std::filesystem::path path;
    std::span<const std::byte> bytes;
};

/// Functions that the program lacks unless one of its source files says
///
///     #define BESPOKE_IMPLEMENTATION
///     #include <bespoke.hpp>
namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {
std::vector<std::byte> read_file(const std::filesystem::path& path);
std::span<const std::byte> map_file(const std::filesystem::path& path, std::shared_ptr<const void>& owner);
void write_files_atomically(std::span<const file_content> files);
}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

/// The bytes of a regular file (or of what a link to one leads to). Throws errc::io with path and reason.
inline std::vector<std::byte> read_file(const std::filesystem::path& path) {
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_file(path);
}

/// The bytes of a regular file, mapped where the system can do that: they are read when they are looked at, and never
/// copied. Whoever writes to the file itself meanwhile (and does not put a new one in its place, as the functions below
/// do) changes them, or takes them away. Throws errc::io with path and reason.
class mapped_file {
public:
    explicit mapped_file(const std::filesystem::path& path) {
        bytes_ = define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::map_file(path, owner_);
    }
    std::span<const std::byte> bytes() const { return bytes_; }

private:
    std::shared_ptr<const void> owner_;
    std::span<const std::byte> bytes_;
};

/// Writes files so that whoever looks, even after a crash, finds each one whole: old or new.
///
/// All contents are first written and synced under other names in the same folders, then renamed in the
/// order given, then the folders are synced. So a file that refers to another comes after it. A crash
/// between two renames leaves the first file new and the second old; whoever must never see that says in
/// both which belong together, as `model::save` does. Throws errc::io with path and reason; no file has
/// changed then, unless a rename after the first one was refused, and nothing is left over. Existing
/// permissions are kept. What a killed process has begun to write vanishes with it on Linux, where the file
/// system knows files without names; elsewhere it stays, as "PATH.*.tmp".
inline void write_files_atomically(std::span<const file_content> files) {
    define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::write_files_atomically(files);
}
inline void write_files_atomically(std::initializer_list<file_content> files) {
    write_files_atomically(std::span(files.begin(), files.size()));
}
inline void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
    write_files_atomically({{path, bytes}});
}

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <sys/stat.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace bespoke {
namespace detail {

[[noreturn]] inline void throw_io(const std::filesystem::path& path, const std::string& what, int reason) {
    throw error(errc::io, path.string() + ": " + what + ": " + std::generic_category().message(reason));
}

struct close_file {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using file_handle = std::unique_ptr<std::FILE, close_file>;

inline file_handle open_file(const std::filesystem::path& path, const char* mode) {
#ifdef _WIN32
    return file_handle(
        ::_wfopen(path.c_str(), std::wstring(mode, mode + std::char_traits<char>::length(mode)).c_str()));
#else
    return file_handle(std::fopen(path.c_str(), mode));
#endif
}

/// Null where it exists already. Old Windows does not know the mode "wbx".
inline file_handle create_file(const std::filesystem::path& path) {
#ifdef _WIN32
    const int handle = ::_wopen(path.c_str(), _O_CREAT | _O_EXCL | _O_WRONLY | _O_BINARY, _S_IREAD | _S_IWRITE);
    return file_handle(handle < 0 ? nullptr : ::_fdopen(handle, "wb"));
#else
    return open_file(path, "wbx");
#endif
}

/// Of the file that is open: another one may have taken its name. Below 0: not known, `errno` says why.
inline std::int64_t size_of(std::FILE* file) {
#ifdef _WIN32
    struct ::_stat64 facts;
    return ::_fstat64(::_fileno(file), &facts) == 0 ? facts.st_size : -1;
#else
    struct ::stat facts;
    return ::fstat(::fileno(file), &facts) == 0 ? facts.st_size : -1;
#endif
}

/// What `path` leads to, if anything.
inline std::filesystem::file_status status_of(const std::filesystem::path& path) {
    std::error_code problem;
    const auto status = std::filesystem::status(path, problem);
    if (!std::filesystem::status_known(status)) throw_io(path, "cannot read", problem.value());
    return status;
}

struct readable_file {
    file_handle handle;
    std::size_t size;
};
inline readable_file open_to_read(const std::filesystem::path& path) {
    const auto status = status_of(path);
    if (!std::filesystem::exists(status)) throw_io(path, "cannot read", ENOENT);
    if (!std::filesystem::is_regular_file(status))
        throw error(errc::io, path.string() + ": cannot read: not a regular file");
    file_handle file = open_file(path, "rb");
    if (!file) throw_io(path, "cannot read", errno);
    const std::int64_t size = size_of(file.get());
    if (size < 0) throw_io(path, "cannot read", errno);
    return {std::move(file), static_cast<std::size_t>(size)};
}

/// A new file beside `target` that vanishes with this object unless it is renamed. Where it can, it has no name before.
class temporary_file {
public:
    explicit temporary_file(const std::filesystem::path& target)
        : target_(resolved(target)), folder_(target_.has_parent_path() ? target_.parent_path() : ".") {}
    temporary_file(temporary_file&& other) noexcept
        : target_(std::move(other.target_)), folder_(std::move(other.folder_)), path_(std::move(other.path_)),
          exists_(std::exchange(other.exists_, false)), nameless_(std::move(other.nameless_)) {}
    temporary_file& operator=(temporary_file&&) = delete;
    ~temporary_file() {
        std::error_code ignored;
        if (exists_) std::filesystem::remove(path_, ignored);
    }

    /// Written and synced on return.
    void write(std::span<const std::byte> bytes) {
        std::error_code problem;
        const auto status = std::filesystem::status(target_, problem);
        const bool replaces = std::filesystem::exists(status);
        if (replaces && !std::filesystem::is_regular_file(status))
            throw error(errc::io, target_.string() + ": cannot write: not a regular file");
        file_handle file = make();
        if (replaces) std::filesystem::permissions(path_, status.permissions(), problem);
        const bool written =
            bytes.empty() || std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size();
        if (!written || std::fflush(file.get()) != 0 || !sync(file.get()))
            throw_io(target_, "cannot write", errno);
        if (!exists_) nameless_ = std::move(file);
    }
    void rename_to_target() {
#ifdef O_TMPFILE
        if (nameless_)
            give_name([open = path_](const std::filesystem::path& name) {
                return ::linkat(AT_FDCWD, open.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
            });
#endif
        std::error_code problem;
        std::filesystem::rename(path_, target_, problem);
        if (problem) throw_io(target_, "cannot replace", problem.value());
        exists_ = false;
    }
    /// Makes the new name itself outlive a crash. Wants no memory: the file has changed.
    void sync_folder() const {
#ifndef _WIN32
        const int handle = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        // Some file systems cannot sync a folder and say EINVAL; there is nothing more to be done there.
        const bool failed = handle < 0 || (::fsync(handle) != 0 && errno != EINVAL);
        const int reason = errno;
        if (handle >= 0) ::close(handle);
        if (failed) throw_io(target_, "written, but its folder cannot be synced", reason);
#endif
    }

private:
    /// Opens a new file. Where it has no name, `path_` is one of this process for it.
    file_handle make() {
        file_handle file;
#ifdef O_TMPFILE
        if (const int handle = ::open(folder_.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666); handle >= 0) {
            file.reset(::fdopen(handle, "wb"));
            if (!file) ::close(handle);
            path_ = "/proc/self/fd/" + std::to_string(handle);
            std::error_code problem;
            if (file && std::filesystem::exists(path_, problem)) return file;
        }
#endif
        give_name([&](const std::filesystem::path& name) {
            file = create_file(name);
            return file != nullptr;
        });
        return file;
    }
    /// Calls `make` with names until one was free, which is the name then. A killed process may have left some.
    template <class Make>
    void give_name(const Make& make) {
        constexpr int attempts = 100;
        for (int i = 0; !exists_; ++i) {
            path_ = target_;
            path_ += "." + std::to_string(process()) + "-" + std::to_string(i) + ".tmp";
            exists_ = make(path_);
            if (!exists_ && (errno != EEXIST || i + 1 == attempts)) throw_io(target_, "cannot write", errno);
        }
    }
    /// A link stays a link: what it leads to is replaced.
    static std::filesystem::path resolved(const std::filesystem::path& path) {
        std::error_code problem;
        const auto end = std::filesystem::canonical(path, problem);
        return problem ? path : end;
    }
    static bool sync(std::FILE* file) {
#ifdef _WIN32
        return ::_commit(::_fileno(file)) == 0;
#else
        return ::fsync(::fileno(file)) == 0;
#endif
    }
    static int process() {
#ifdef _WIN32
        return ::_getpid();
#else
        return ::getpid();
#endif
    }

    std::filesystem::path target_, folder_, path_;
    bool exists_ = false;   ///< under a name
    file_handle nameless_;  ///< else, once it is written
};

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

std::vector<std::byte> read_file(const std::filesystem::path& path) {
    const auto [file, size] = detail::open_to_read(path);
    std::vector<std::byte> bytes(size);
    const std::size_t count = std::fread(bytes.data(), 1, bytes.size(), file.get());
    if (std::ferror(file.get()) != 0) detail::throw_io(path, "cannot read", errno);
    if (count != bytes.size() || std::fgetc(file.get()) != EOF)
        throw error(errc::io, path.string() + ": cannot read: its size changes meanwhile");
    return bytes;
}

std::span<const std::byte> map_file(const std::filesystem::path& path, std::shared_ptr<const void>& owner) {
#ifndef _WIN32
    const auto [file, size] = detail::open_to_read(path);
    if (size == 0) return {};
    void* const memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fileno(file.get()), 0);
    if (memory != MAP_FAILED) {
        owner =
            std::shared_ptr<const void>(memory, [size = size](const void* m) { munmap(const_cast<void*>(m), size); });
        return {static_cast<const std::byte*>(memory), size};
    }
#endif
    const auto bytes = std::make_shared<const std::vector<std::byte>>(read_file(path));
    owner = bytes;
    return *bytes;
}

void write_files_atomically(std::span<const file_content> files) {
    std::vector<detail::temporary_file> written;
    written.reserve(files.size());
    for (const file_content& file : files) written.emplace_back(file.path).write(file.bytes);
    for (detail::temporary_file& file : written) file.rename_to_target();
    for (const detail::temporary_file& file : written) file.sync_folder();
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
