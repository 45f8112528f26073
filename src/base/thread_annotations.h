// Clang's thread-safety attributes by name; nothing on other compilers.
// Source of the names and meanings: clang's "Thread Safety Analysis" documentation.

#ifndef RAMDISK_BASE_THREAD_ANNOTATIONS_H
#define RAMDISK_BASE_THREAD_ANNOTATIONS_H

#if defined(__clang__)
#define RAMDISK_ATTRIBUTE(x) __attribute__((x))
#else
#define RAMDISK_ATTRIBUTE(x)
#endif

#define CAPABILITY(x) RAMDISK_ATTRIBUTE(capability(x))
#define SCOPED_CAPABILITY RAMDISK_ATTRIBUTE(scoped_lockable)
#define GUARDED_BY(x) RAMDISK_ATTRIBUTE(guarded_by(x))
#define REQUIRES(...) RAMDISK_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define ACQUIRE(...) RAMDISK_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define RELEASE(...) RAMDISK_ATTRIBUTE(release_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) RAMDISK_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define EXCLUDES(...) RAMDISK_ATTRIBUTE(locks_excluded(__VA_ARGS__))

#endif
