// SPDX-License-Identifier: BSL-1.0
#pragma once

// A disk of 64 KiB, to be full.

#include <sched.h>
#include <sys/mount.h>

#include <string>

namespace rondo::test {

/// Mounts one on a folder, in a namespace of this process's own. False: that is not allowed here.
inline bool mount_small_disk(const std::string& at) {
  const bool alone = ::unshare(CLONE_NEWNS) == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
  return alone && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", at.c_str(), "tmpfs", 0, "size=64k") == 0;
}

}  // namespace rondo::test
