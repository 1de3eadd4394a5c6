//! How much memory glibc's allocator holds back from the system. As it comes, it keeps a heap for each of up to eight threads a
//! processor, and serves larger and larger blocks from them: a program that moves large buffers between threads then holds
//! twice what it uses.

/// Two heaps in all; blocks of 512 KiB and more come from the system and go back to it when they are freed, and so does what is
/// free at the end of a heap past 4 MiB. Call it before there are threads. Does nothing where the C library is another.
///
/// See `mallopt(3)`.
pub fn set() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, value) in
        [(libc::M_ARENA_MAX, 2), (libc::M_MMAP_THRESHOLD, 512 << 10), (libc::M_TRIM_THRESHOLD, 4 << 20)]
    {
        // SAFETY: mallopt takes two numbers and refuses those that it does not know.
        #[expect(unsafe_code, reason = "a call of the C library")]
        let is_set = unsafe { libc::mallopt(parameter, value) };
        debug_assert_eq!(is_set, 1, "glibc knows parameter {parameter}");
    }
}
