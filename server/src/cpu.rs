//! Refuses to start on a CPU that lacks what this binary was compiled for, instead of dying by an illegal instruction.
//!
//! Called as the first statement of `main.rs`. Does nothing in builds for every x86-64 and for other architectures.

/// What to tell the user if the CPU is too old; `None` if it will do.
pub fn problem() -> Option<&'static str> {
    #[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
    if !v3() {
        return Some(
            "this image needs a CPU with AVX2, FMA and BMI2 (x86-64-v3); use the -baseline tag",
        );
    }
    None
}

/// Reads the CPU itself: `is_x86_feature_detected!` is a constant `true` in such a build.
#[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
fn v3() -> bool {
    use core::arch::x86_64::{__cpuid, __cpuid_count};
    const FMA: u32 = 1 << 12;
    const AVX2: u32 = 1 << 5;
    const BMI2: u32 = 1 << 8;
    if __cpuid(0).eax < 7 {
        return false;
    }
    let leaf7 = __cpuid_count(7, 0);
    __cpuid(1).ecx & FMA != 0 && leaf7.ebx & AVX2 != 0 && leaf7.ebx & BMI2 != 0
}
