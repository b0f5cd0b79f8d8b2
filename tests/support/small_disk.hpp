// SPDX-License-Identifier: BSL-1.0
#pragma once

// A disk of 64 KiB, to be full.

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace rondo::test {

/// In a namespace of this process's own, in which it may mount. Who is not root makes one of users,
/// too, and has to be somebody in it: a disk takes no file of nobody.
inline bool move_to_own_namespace() {
  if (::unshare(CLONE_NEWNS) == 0) return true;
  const std::string user = std::to_string(::geteuid());
  const std::string group = std::to_string(::getegid());
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  const auto say = [](const char* path, const std::string& words) {
    std::ofstream file(path);
    return static_cast<bool>(file << words << std::flush);
  };
  return say("/proc/self/setgroups", "deny") &&
         say("/proc/self/uid_map", user + " " + user + " 1") &&
         say("/proc/self/gid_map", group + " " + group + " 1");
}

/// Mounts one on a folder, in a namespace of this process's own. False: that is not allowed here.
inline bool mount_small_disk(const std::string& at) {
  return move_to_own_namespace() &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", at.c_str(), "tmpfs", 0, "size=64k") == 0;
}

}  // namespace rondo::test
